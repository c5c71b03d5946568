"""Reading the store from Streamlit: opened once, looked at cheaply, trials kept until they change."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from storage import (
    Confirmation,
    QuestionSource,
    StorageError,
    Store,
    StoreMissingError,
    StudySummary,
    Trial,
    open_store,
)


@dataclass(frozen=True)
class Look:
    """What a glance at the store gave: a stamp that changes when anything did, and a store or a problem."""

    stamp: str
    store: Store | None = None
    problem: str = ""
    missing: bool = False


def look(url: str) -> Look:
    """Glance at the store: one short query when it is open already. Never raises, never creates it."""
    try:
        return _glance(url)
    except StorageError as error:
        return Look(f"{error}", problem=str(error), missing=isinstance(error, StoreMissingError))


def _glance(url: str) -> Look:
    store = _open(url)
    try:
        return Look(store.version_stamp(), store)
    except StorageError:  # gone or replaced since it was opened: open it anew to find out which
        _open.clear()
        store = _open(url)
        return Look(store.version_stamp(), store)


def studies(url: str, stamp: str, store: Store) -> list[StudySummary]:
    """The studies of the store at that stamp."""
    return _studies(url, stamp, store)


def trials(url: str, study_id: int, store: Store) -> list[Trial]:
    """The trials of a study without scores, read again only when the study changed."""
    return _trials(url, study_id, store.version_stamp(study_id), store)


def confirmations(url: str, study_id: int, store: Store) -> list[Confirmation]:
    """What of a study was measured again on held-out questions."""
    return _confirmations(url, study_id, store.version_stamp(study_id), store)


def questions(url: str, study_id: int, store: Store) -> QuestionSource | None:
    """Where a study's questions come from, if they are not embedded."""
    return _questions(url, study_id, store.version_stamp(study_id), store)


def scores(url: str, study_id: int, numbers: tuple[int, ...], store: Store) -> dict[int, tuple[float, ...]]:
    """One score per question of these trials, by number."""
    return _scores(url, study_id, numbers, store.version_stamp(study_id), store)


@st.cache_resource(show_spinner=False, max_entries=4)
def _open(url: str) -> Store:
    return open_store(url, readonly=True)


@st.cache_resource(show_spinner=False, max_entries=4)
def _studies(url: str, stamp: str, _store: Store) -> list[StudySummary]:
    return _store.studies()


@st.cache_resource(show_spinner="Reading trials", max_entries=40)
def _trials(url: str, study_id: int, stamp: str, _store: Store) -> list[Trial]:
    return _store.trials(study_id, scores=False)


@st.cache_resource(show_spinner=False, max_entries=40)
def _confirmations(url: str, study_id: int, stamp: str, _store: Store) -> list[Confirmation]:
    return _store.confirmations(study_id)


@st.cache_resource(show_spinner=False, max_entries=40)
def _questions(url: str, study_id: int, stamp: str, _store: Store) -> QuestionSource | None:
    return _store.questions(study_id)


@st.cache_resource(show_spinner="Reading scores", max_entries=64)
def _scores(
    url: str, study_id: int, numbers: tuple[int, ...], stamp: str, _store: Store
) -> dict[int, tuple[float, ...]]:
    return _store.scores(study_id, numbers)
