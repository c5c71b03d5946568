"""Reads of the store that Streamlit keeps until the store changes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st

from storage import (
    Confirmation,
    Ledger,
    QuestionSource,
    StorageError,
    Store,
    StoreMissingError,
    StudySummary,
    Trial,
    open_store,
)
from storage.phase import Phase, phases
from storage.refined import refined


@dataclass(frozen=True)
class StoreState:
    """A store, or the problem with it; `stamp` changes whenever anything in the store does.

    `phases` are those of its studies by id: they also change when a process ends, which writes nothing.
    """

    stamp: str
    store: Store | None = None
    problem: str = ""
    missing: bool = False
    phases: Mapping[int, Phase] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyRecords:
    """The records of one study, without the per-question scores of its trials.

    `searched` are the trials as the search measured them; once it is refined, `trials` have posterior means.
    """

    searched: list[Trial]
    trials: list[Trial]
    confirmations: list[Confirmation]
    questions: QuestionSource | None


def store_state(url: str) -> StoreState:
    """Return the state of a store, by two short queries where it is open already. Never creates a store."""
    try:
        return _open_state(url)
    except StorageError as error:
        return StoreState(f"{error}", problem=str(error), missing=isinstance(error, StoreMissingError))


def _open_state(url: str) -> StoreState:
    store = _open(url)
    try:
        return StoreState(store.version_stamp(), store, phases=phases(store))
    except StorageError:  # deleted or replaced since it was opened: the second try says which
        _open.clear()
        store = _open(url)
        return StoreState(store.version_stamp(), store, phases=phases(store))


@st.cache_resource(show_spinner=False, max_entries=4)
def studies(url: str, stamp: str, _store: Store) -> list[StudySummary]:
    """Return the studies of a store at that stamp."""
    return _store.studies()


def study_records(url: str, study_id: int, store: Store) -> StudyRecords:
    """Return the records of a study; they are read again only when the study has changed."""
    return _study_records(url, study_id, store.version_stamp(study_id), store)


def scores(url: str, study_id: int, numbers: Sequence[int], store: Store) -> dict[int, tuple[float, ...]]:
    """Return the per-question scores of some trials, by number."""
    return _scores(url, study_id, tuple(numbers), store.version_stamp(study_id), store)


def further_work(url: str, study_id: int, store: Store) -> tuple[dict[str, int], int]:
    """Return how many answers to further questions a study has by split, and how many its newest plan can ask for.

    Raises:
        TamperedError: a stored plan is not what was written.
    """
    return _further_work(url, study_id, store.version_stamp(study_id), store)


@st.cache_resource(show_spinner=False, max_entries=4)
def _open(url: str) -> Store:
    return open_store(url, readonly=True)


@st.cache_resource(show_spinner="Reading trials", max_entries=40)
def _study_records(url: str, study_id: int, stamp: str, _store: Store) -> StudyRecords:
    trials = searched = _store.trials(study_id, scores=False)
    if further := Ledger(_store, study_id).answers("validation"):
        scores = _store.scores(study_id, [trial.number for trial in searched if trial.complete])
        trials = refined(searched, scores, further)
    return StudyRecords(searched, trials, _store.confirmations(study_id), _store.questions(study_id))


@st.cache_data(show_spinner=False, max_entries=64)
def _further_work(url: str, study_id: int, stamp: str, _store: Store) -> tuple[dict[str, int], int]:
    ledger = Ledger(_store, study_id)
    tested = 0
    if plans := ledger.plans():
        chains = json.loads(plans[-1].document)["chains"]
        trials = {number for _, chain in chains for number in chain}
        tested = plans[-1].pool * (len(trials) + 1)  # and dense
    return ledger.counts(), tested


@st.cache_resource(show_spinner="Reading scores", max_entries=64)
def _scores(
    url: str, study_id: int, numbers: tuple[int, ...], stamp: str, _store: Store
) -> dict[int, tuple[float, ...]]:
    return _store.scores(study_id, numbers)
