"""Run a page of the dashboard without a browser, and read what it shows."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"


def opened(title: str = "", **link: str | list[str]) -> AppTest:
    """Return the first look of a new session at a page, by a link with these query parameters."""
    app = AppTest.from_file(str(APP), default_timeout=120)
    app._page_hash = calc_hash(title.lower().replace(" ", "-"))  # pages are functions, which have no file to switch to
    app.query_params.update(link)
    return checked(app.run())


def checked(app: AppTest) -> AppTest:
    """Return the page, which shows no exception."""
    assert not app.exception, app.exception
    return app


def words(app: AppTest) -> str:
    """Return the texts of the page, without the backslashes of Markdown."""
    elements = [*app.title, *app.subheader, *app.markdown, *app.caption, *app.error, *app.warning, *app.code]
    return "\n".join(element.value for element in elements).replace("\\", "")
