"""What a page shows before there is a front: the reason, and the command to type."""

from __future__ import annotations

import streamlit as st

from dashboard.access import permission
from dashboard.access.cached_reads import StoreState
from dashboard.analysis.study_view import View, resume_command
from dashboard.context import NEW_SEARCH, PAGES, Context
from dashboard.views.widgets import command_line, table
from dashboard.wording.formatting import sentence
from dashboard.wording.trial_tables import failure_table
from storage import StudySummary
from storage.commands import shell_command

SEARCH_COMMAND = "python -m search.launch --model qwenvl --budget 200"


def search_command(url: str, default: str) -> str:
    """Return the command that fills this store, ready for a shell, without the password of the URL."""
    if url == default:
        return SEARCH_COMMAND
    return f"{SEARCH_COMMAND} {shell_command('--storage', url)}"


def no_store(state: StoreState, url: str, default: str) -> None:
    """Say that there is no store yet, or why it cannot be read."""
    if state.missing:
        st.subheader("No store yet")
        st.markdown(sentence(state.problem))
        _start(url, default)
        return
    st.error(sentence(state.problem), icon=":material/error:")
    st.markdown("This page tries again every two seconds and appears once the store can be read.")


def no_studies(url: str, default: str) -> None:
    """Say that the store has no study."""
    st.subheader("The store is empty")
    st.markdown("It was created, but no search has written into it yet.")
    _start(url, default)


def nothing_complete(context: Context, study: StudySummary) -> None:
    """Say why the study has no complete trial: none was measured yet, or all failed."""
    view = context.view(study)
    st.subheader("Every trial so far failed" if view.failed else "No finished trial yet", anchor=False)
    if context.phase(study) == "waiting":
        st.markdown("No trial is complete, and no process works on this study; this command resumes it:")
        command_line(resume_command(context.url, view), context.url)
    else:
        st.markdown("Trials are being measured; the front appears here once the first, the dense model, is complete.")
    if view.failed:
        st.markdown("The reasons of the failures:")
        table(failure_table(view))


def no_front(view: View) -> None:
    """Say that no trial passes the filter, or that none has the cost that was chosen."""
    if not view.complete:
        st.info("There is no front, since no complete trial passes the filter; open Filter to show more.")
    else:
        st.info("There is no front, since no trial is timed yet; `python -m search.launch` times a search's front.")


def no_certificate() -> None:
    """Say that nothing is certified, and where it is done."""
    st.caption("Nothing is certified within 1 point yet; the page Export has the command that does it.")


def _start(url: str, default: str) -> None:
    if permission.can_write():
        if st.button("New search", type="primary", icon=":material/add:"):
            st.switch_page(st.session_state[PAGES][NEW_SEARCH])
        st.markdown("Or start one in this folder, in another terminal:")
    else:
        st.markdown("Start a search, in this folder, in another terminal:")
    command_line(search_command(url, default), url)
    st.markdown("The first front appears here by itself, within a minute or two.")
