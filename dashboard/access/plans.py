"""What a search would do, as `search.plan` says it in a process of its own, which also checks uploaded questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard.access.commands import CommandError, run_json

PLAN = "search.plan"
_SECONDS = 300  # that a plan is kept: the times in the store change


@dataclass(frozen=True)
class PlannedStudy:
    """One study: questions a trial, and test questions and the smallest margin in points, or why it is an estimate."""

    name: str
    questions: int
    tested: int
    margin: float | None
    reason: str


@dataclass(frozen=True)
class PlannedSearch:
    """What a search would do; `bad` are rows that cannot be used: word, number and reason. Or why it cannot run."""

    weights: str = ""
    studies: tuple[PlannedStudy, ...] = ()
    bad: tuple[tuple[str, int, str], ...] = ()
    answers: int = 0
    test_answers: int = 0
    hours: float | None = None
    memory_gb: float | None = None
    workers: int | None = None
    where: str = ""
    problem: str = ""


@st.cache_data(show_spinner="Checking the model and the questions", ttl=_SECONDS, max_entries=100)
def plan(options: Sequence[str]) -> PlannedSearch:
    """Return what a search with these options of `search.launch` would do."""
    try:
        values = run_json(PLAN, [*options, "--json"])
    except CommandError as error:
        return PlannedSearch(problem=str(error))
    studies = tuple(_study(one) for one in values.pop("studies"))
    bad = tuple((one["word"], one["line"], one["problem"]) for one in values.pop("bad"))
    return PlannedSearch(studies=studies, bad=bad, **values)


def _study(values: dict[str, Any]) -> PlannedStudy:
    best = values.pop("certifiable")
    tested, margin = (best["questions"], best["margin"]) if isinstance(best, dict) else (0, None)
    return PlannedStudy(**values, tested=tested, margin=margin)
