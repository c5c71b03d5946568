"""What a page shows before there is a front: the reason, and the command to type."""

from __future__ import annotations

import streamlit as st

from dashboard.access.cached_reads import StoreState
from dashboard.analysis.study_view import View
from dashboard.views.widgets import table
from dashboard.wording.formatting import sentence
from dashboard.wording.trial_tables import failure_table
from storage.commands import password_note, shell_command

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


def no_trials() -> None:
    """Say that the study has no trial."""
    st.subheader("No finished trial yet")
    st.markdown(
        "The study exists, and its first trial, the dense (unpruned) model, is being measured. "
        "The front appears here as soon as that is done."
    )


def failures_only(view: View) -> None:
    """Show the reasons of a study in which every trial so far failed."""
    st.subheader("Every trial so far failed")
    st.markdown(f"{len(view.failed)} failed, none finished. The reasons:")
    table(failure_table(view))


def _start(url: str, default: str) -> None:
    st.markdown("Start a search, in this folder, in another terminal:")
    st.code(search_command(url, default), language="bash")
    if note := password_note(url):
        st.caption(sentence(note))
    st.markdown("The first front appears here by itself, within a minute or two.")
