"""Entry of the dashboard: `streamlit run dashboard/app.py -- --storage sqlite:///himap.db`.

Streamlit puts this folder, not the repository, on the module path, hence the lines that add the repository.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import streamlit as st

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from dashboard import page, queries, source, states, text  # noqa: E402 - after the path is set
from storage import Store, StudySummary  # noqa: E402

DEFAULT_STORAGE = "sqlite:///himap.db"
SECONDS_BETWEEN_LOOKS = 2
SHOWN = "shown_stamp"


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
    if source.look(url).stamp != st.session_state.get(SHOWN):
        st.rerun()


def main() -> None:
    """Draw the page."""
    st.set_page_config("HiMAP Search", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
    try:
        url = storage_url(sys.argv[1:])
    except ValueError as error:
        st.title("HiMAP Search", anchor=False)
        st.error(text.plain(str(error)))
        return
    seen = source.look(url)
    st.session_state[SHOWN] = seen.stamp
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title("HiMAP Search", anchor=False, width="content")
        live = st.toggle("Live", value=True, help="Redraw when the store changes. Off keeps your zoom.")
    if live:
        watch(url)
    command = states.search_command(url, DEFAULT_STORAGE)
    if seen.store is None:
        states.missing(seen.problem, command) if seen.missing else states.unreadable(seen.problem)
        return
    studies = source.studies(url, seen.stamp, seen.store)
    if studies:
        show(url, seen.store, studies)
    else:
        states.empty(command)


def show(url: str, store: Store, studies: list[StudySummary]) -> None:
    """Choose a study and draw what it has."""
    study, cost = page.choose(studies)
    view = queries.build_view(study.key, source.trials(url, study.id, store), cost)
    if view.complete:
        page.headline(view)
        page.fronts(view, dark=is_dark())
    elif view.failed:
        states.failures_only(view)
    else:
        states.no_trials()


def is_dark() -> bool:
    """True when the browser shows the dark theme."""
    return st.context.theme.type == "dark"


if __name__ == "__main__":
    main()
