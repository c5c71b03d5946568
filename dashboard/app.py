"""Entry of the dashboard: `streamlit run dashboard/app.py -- --storage sqlite:///himap.db`.

Streamlit puts this folder, not the repository, on the module path, hence the lines that add the repository.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import streamlit as st

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from dashboard import context  # noqa: E402 - the project may not be installed
from dashboard.access import store  # noqa: E402 - the project may not be installed
from dashboard.context import Context  # noqa: E402 - the same
from dashboard.views import compare, empty, export, flow, fronts, search, trial  # noqa: E402 - the project may not be installed
from dashboard.wording import text  # noqa: E402 - the project may not be installed
from storage import StudySummary  # noqa: E402 - the same

DEFAULT_STORAGE = "sqlite:///himap.db"
SECONDS_BETWEEN_LOOKS = 2
SHOWN = "shown_stamp"
OnePair = Callable[[Context, StudySummary], None]
# what each page draws of the chosen study, and what of all studies
OF_A_PAIR: dict[str, OnePair] = {
    "Fronts": fronts.show,
    "Trial": trial.show,
    "Search": search.show,
    "Export": export.show,
}
OF_ALL: dict[str, Callable[[Context], None]] = {"Compare": compare.show}
TITLES = ("Fronts", "Trial", "Search", "Compare", "Export", "Flow")


def storage_url(arguments: list[str]) -> str:
    """The store named on the command line. Raises ValueError with one line for arguments it does not know."""
    parser = argparse.ArgumentParser(prog="dashboard/app.py", add_help=False, exit_on_error=False)
    parser.add_argument("--storage", default=DEFAULT_STORAGE)
    try:
        known, unknown = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ValueError(f"{error}; expected -- --storage URL, as in {DEFAULT_STORAGE}") from error
    if unknown:
        raise ValueError(f"got {' '.join(unknown)}; expected -- --storage URL, as in {DEFAULT_STORAGE}")
    return known.storage


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
def watch(url: str) -> None:
    """Look at the store again and again, and redraw the page only when something changed."""
    if store.look(url).stamp != st.session_state.get(SHOWN):
        st.rerun()


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config("HiMAP Search", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
    try:
        url = storage_url(sys.argv[1:])
    except ValueError as error:
        st.title("HiMAP Search", anchor=False)
        st.error(text.plain(str(error)))
        return
    context.keep_choices()
    pages = [
        st.Page(_drawn(url, title), title=title, url_path=title.lower(), default=title == "Fronts") for title in TITLES
    ]
    st.navigation(pages, position="top").run()


def _drawn(url: str, title: str) -> Callable[[], None]:
    """The function that draws one page, in whatever state the store is."""

    def draw() -> None:
        seen = store.look(url)
        st.session_state[SHOWN] = seen.stamp
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.title("HiMAP Search", anchor=False, width="content")
            live = st.toggle("Live", key="live", help="Redraw when the store changes.")
        if title == "Flow":  # needs no store
            flow.show(dark=is_dark())
            return
        if live:
            watch(url)
        command = empty.search_command(url, DEFAULT_STORAGE)
        if seen.store is None:
            empty.missing(seen.problem, command) if seen.missing else empty.unreadable(seen.problem)
            return
        studies = store.studies(url, seen.stamp, seen.store)
        if studies:
            _page(title, Context(url, seen.store, studies, is_dark()))
        else:
            empty.empty(command)

    return draw


def _page(title: str, here: Context) -> None:
    if title in OF_ALL:
        OF_ALL[title](here)
        return
    study = context.choose_study(here.studies)
    if study.complete or study.pruned:
        OF_A_PAIR[title](here, study)
    elif study.failed:
        empty.failures_only(here.view(study))
    else:
        empty.no_trials()


def is_dark() -> bool:
    """True when the browser shows the dark theme."""
    return st.context.theme.type == "dark"


if __name__ == "__main__":
    main()
