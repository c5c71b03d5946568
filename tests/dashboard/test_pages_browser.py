"""A real browser opens every page, on a large and on a small screen."""

from __future__ import annotations

from typing import Any

import pytest

from bench.dashboard.serving import CHROMIUM, serving
from dashboard.app import TITLES, url_path
from tests.dashboard.test_dashboard_browser import opened

if CHROMIUM is None:
    pytest.skip("no Chromium here: apt-get install chromium", allow_module_level=True)
DRAWN = "!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSpinner], [data-testid=stSkeleton]')"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_no_page_has_an_error_or_is_wider_than_the_screen(searched_store: str, scheme: str, width: int) -> None:
    options: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with serving(searched_store) as address:
        for title in TITLES:
            with opened(f"{address}/{url_path(title) if title != 'Fronts' else ''}", **options) as tab:
                tab.wait_for_selector("h1")
                tab.wait_for_timeout(1500)
                tab.wait_for_function(DRAWN)
                assert not tab.locator("[data-testid=stException]").count(), title
                assert tab.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width, title
