"""From a candidate and what came of it to a row of the store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from objectives.provenance import commit, versions
from search.pair import Pair
from search.race import Rival
from search.study import Candidate
from storage import RecordError, RunningTrial, Trial
from storage.pareto import front
from storage.records import utc_now


def finished_trial(candidate: Candidate, fields: dict[str, Any] | None, reason: str = "") -> Trial:
    """The row of a measurement, or without `fields` of a failure; a measurement that makes no sense, such as
    a NaN, is a failure too."""
    try:
        return _row(candidate, {"state": "complete", **fields} if fields else _failure(reason))
    except RecordError as error:
        return _row(candidate, _failure(f"the worker returned nonsense: {error}"))


def running_trial(candidate: Candidate) -> RunningTrial:
    """What is noted of a candidate while it runs."""
    return RunningTrial(
        candidate.number, candidate.origin, **candidate.config.as_dict(), source=candidate.source,
        attempts=candidate.attempts,
    )  # fmt: skip


def reused_trial(candidate: Candidate) -> Trial:
    """The row of a measurement of the same from another study, which took no time here."""
    assert candidate.known is not None
    source, trial = candidate.known
    return replace(
        trial, **candidate.config.as_dict(), number=candidate.number, origin=candidate.origin, source=source,
        seconds=0.0, created_at=utc_now(),
    )  # fmt: skip


def rivals(pair: Pair, candidate: Candidate) -> tuple[Rival, ...]:
    """Front members that the candidate races against; none where it has to be measured to the end."""
    if candidate.origin not in ("sampler", "transfer") or pair.study.goals.timed:
        return ()
    return tuple(
        Rival(t.number, t.flops, t.paper_flops, t.scores)
        for t in front(pair.trials)
        if t.scores and t.n == len(t.scores)
    )


def _failure(reason: str) -> dict[str, Any]:
    return {"state": "failed", "reason": reason}


def _row(candidate: Candidate, fields: dict[str, Any]) -> Trial:
    return Trial(
        number=candidate.number, origin=candidate.origin, source=candidate.source,
        **candidate.config.as_dict(), versions=versions(), commit=commit(), created_at=utc_now(), **fields,
    )  # fmt: skip
