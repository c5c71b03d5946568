"""Entry of the dashboard: `streamlit run dashboard/app.py -- --storage sqlite:///himap.db`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from streamlit.starlette import App

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:  # Streamlit puts this folder on the module path, and the project may not be installed
    sys.path.insert(0, ROOT)

# ruff: noqa: E402
from dashboard import address
from dashboard.access import cached_reads, permission
from dashboard.access.options import DashboardOptions, read_options
from dashboard.context import JOBS, NEW_SEARCH, PAGES, Context, choose_study, keep_choices
from dashboard.views import (
    compare_page,
    empty,
    export_page,
    flow_page,
    fronts_page,
    jobs_page,
    new_search_page,
    search_page,
    sign_in,
    trial_page,
)
from dashboard.wording.formatting import plain, sentence
from storage import StorageError, StudySummary
from storage.commands import DEFAULT_STORAGE

SECONDS_BETWEEN_LOOKS = 2
SHOWN = "shown state"
STUDY_PAGES: dict[str, Callable[[Context, StudySummary], None]] = {
    "Fronts": fronts_page.show,
    "Trial": trial_page.show,
    "Search": search_page.show,
    "Export": export_page.show,
}
STORE_PAGES: dict[str, Callable[[Context], None]] = {"Compare": compare_page.show, JOBS: jobs_page.show}
TITLES = ("Fronts", "Trial", "Search", "Compare", "Export", "Flow", JOBS, NEW_SEARCH)


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
def watch(url: str) -> None:
    """Look at the store every other second, and redraw the page only when something has changed."""
    if cached_reads.store_state(url) != st.session_state.get(SHOWN):
        st.rerun()


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config("HiMAP Search", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
    try:
        options = read_options(sys.argv[1:])
        permission.check()
    except ValueError as error:
        st.title("HiMAP Search", anchor=False)
        st.error(plain(str(error)))
        return
    if not permission.may_enter():
        sign_in.sign_in()
        return
    address.read_settings()
    pages = {
        title: st.Page(_page(options, title), title=title, url_path=url_path(title), default=title == "Fronts")
        for title in TITLES
    }
    st.session_state[PAGES] = pages
    page = st.navigation(list(pages.values()), position="top")
    keep_choices(page.title)
    page.run()


def url_path(title: str) -> str:
    """Return how the address names a page."""
    return title.lower().replace(" ", "-")


def _page(options: DashboardOptions, title: str) -> Callable[[], None]:
    """Return the function that draws one page, in whatever state the store is."""

    url = options.storage

    def draw() -> None:
        state = cached_reads.store_state(url)
        st.session_state[SHOWN] = state
        address.keep()
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.title("HiMAP Search", anchor=False, width="content")
            sign_in.account()
            live = st.toggle("Live", key="live", help="Redraw when the store changes.")
        dark = st.context.theme.type == "dark"
        if title == "Flow":  # needs no store
            flow_page.show(url, state.store, dark=dark)
            return
        if title == NEW_SEARCH:  # creates it
            new_search_page.show(options)
            return
        if live and (title != JOBS or state.store is None):  # that page follows the queue by itself
            watch(url)
        if title == JOBS and state.missing:
            jobs_page.no_jobs(url)
            return
        if state.store is None:
            empty.no_store(state, url, DEFAULT_STORAGE)
            return
        studies = cached_reads.studies(url, state.stamp, state.store)
        if studies or title == JOBS:
            _draw(title, Context(url, state.store, studies, dark, state.phases))
        else:
            empty.no_studies(url, DEFAULT_STORAGE)

    return draw


def _draw(title: str, context: Context) -> None:
    notes = st.container()
    try:
        address.read_choices(context)
        _draw_page(title, context)
    except StorageError as error:  # answers or a plan that are not what was written
        st.error(sentence(str(error)), icon=":material/error:")
    address.write(context.studies)
    with notes:
        address.show_notes()


def _draw_page(title: str, context: Context) -> None:
    if title in STORE_PAGES:
        STORE_PAGES[title](context)
        return
    study = choose_study(context.studies)
    if study.complete:
        STUDY_PAGES[title](context, study)
    else:
        empty.nothing_complete(context, study)


if __name__ == "__main__":
    main()
elif __name__ == "app":  # Streamlit's server imports this file, and serves it if it has an App
    try:
        permission.check()
    except ValueError as problem:
        raise SystemExit(f"error: {problem}") from None
    app = App(__file__)
