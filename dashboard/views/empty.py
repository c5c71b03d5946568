"""What the page says when there is no front to show: why, and what to type."""

from __future__ import annotations

import re
import shlex

import streamlit as st

from dashboard.analysis.study_view import View
from dashboard.wording import formatting, trial_tables
from dashboard.wording.columns import COLUMNS

SEARCH_COMMAND = "python -m search.launch --model qwenvl --budget 200"


def search_command(url: str, default: str) -> str:
    """The command that fills this store, ready for a shell, without the password of the URL."""
    if url == default:
        return SEARCH_COMMAND
    return f"{SEARCH_COMMAND} --storage {shlex.quote(without_password(url))}"


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    return re.sub(r"(//[^:/@]*):[^@]*@", r"\1:PASSWORD@", url)


def missing(problem: str, command: str) -> None:
    """Nothing there yet."""
    st.subheader("No store yet")
    st.markdown(formatting.plain(formatting.sentence(problem)))
    _start(command)


def unreadable(problem: str) -> None:
    """Something is there, or should be, but cannot be read."""
    st.error(formatting.plain(formatting.sentence(problem)), icon=":material/error:")
    st.markdown("This page looks again every few seconds and goes on by itself once the store can be read.")


def empty(command: str) -> None:
    """A store without a study."""
    st.subheader("The store is empty")
    st.markdown("It was created, but no search has written into it yet.")
    _start(command)


def no_trials() -> None:
    """A study in which nothing is finished yet."""
    st.subheader("No finished trial yet")
    st.markdown(
        "The study exists, and its first trial, the dense model, is being measured. "
        "The front appears here as soon as it is done."
    )


def failures_only(view: View) -> None:
    """A study in which every trial so far failed."""
    st.subheader("Every trial so far failed")
    st.markdown(f"{len(view.failed)} failed, none finished. The reasons:")
    st.dataframe(trial_tables.failure_table(view), hide_index=True, column_config=COLUMNS)


def _start(command: str) -> None:
    st.markdown("Start a search, in this folder, in another terminal:")
    st.code(command, language="bash")
    st.markdown("The first front appears here by itself, within a minute or two.")
