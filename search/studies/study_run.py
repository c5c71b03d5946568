"""A model-benchmark pair in progress."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from objectives.provenance import commit, versions
from search.inputs.questions import Asked
from search.studies.study import Candidate, Study
from search.workers.racing import Rival
from storage import QuestionSource, RecordError, RunningTrial, StudyKey, Trial
from storage.pareto import front
from storage.records import utc_now

_FAILURES_IN_A_ROW = 8


@dataclass
class StudyRun:
    """A model-benchmark pair in progress: its study, its stored trials and what is being measured.

    `untimed` are results that the study is told once their latency is measured, `asked` the questions.
    `abandoned` says why it was given up: its measurements failed, one after the other.
    """

    key: StudyKey
    study_id: int
    study: Study
    budget: int
    trials: list[Trial]
    running: int = 0
    exhausted: bool = False
    retry: list[Candidate] = field(default_factory=list)
    untimed: list[tuple[Candidate, Trial]] = field(default_factory=list)
    asked: Asked | None = None
    family: str = ""
    abandoned: str = ""
    _failures: int = 0

    def add(self, trial: Trial) -> None:
        """A stored trial; the pair is given up after too many failures in a row."""
        self.trials.append(trial)
        self._failures = self._failures + 1 if trial.failed else 0
        if self._failures >= _FAILURES_IN_A_ROW:
            self.abandoned = (
                f"{self.key.questions}: the last {self._failures} measurements failed, the last one with: "
                f"{trial.reason}; what was measured is stored, and the same command goes on from there"
            )

    @property
    def sources(self) -> dict[str, QuestionSource]:
        """Where the questions come from, by benchmark, if they are not embedded."""
        record = None if self.asked is None else self.asked.record
        return {} if record is None else {self.key.questions: record}

    @property
    def wants(self) -> bool:
        """Whether another candidate should be handed out."""
        if self.abandoned:
            return False
        return bool(self.retry) or (not self.exhausted and len(self.trials) + self.running < self.budget)

    @property
    def done(self) -> bool:
        return not self.wants and not self.running and not self.untimed

    @property
    def progress(self) -> float:
        """Part of the budget that is spent or being spent."""
        return (len(self.trials) + self.running) / self.budget


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
        candidate.number, candidate.origin, candidate.config, parent=candidate.source, attempts=candidate.attempts
    )


def reused_trial(candidate: Candidate) -> Trial:
    """The row of a measurement of the same from another study, which took no time here."""
    assert candidate.known is not None
    parent, trial = candidate.known
    return replace(
        trial,
        config=candidate.config,
        number=candidate.number,
        origin=candidate.origin,
        parent=parent,
        reused=True,
        seconds=0.0,
        created_at=utc_now(),
    )


def rivals(pair: StudyRun, candidate: Candidate) -> tuple[Rival, ...]:
    """Front members that the candidate races against; none where it has to be measured to the end."""
    if candidate.origin not in ("sampler", "warm_start") or pair.study.goals.timed:
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
        number=candidate.number,
        origin=candidate.origin,
        config=candidate.config,
        parent=candidate.source,
        versions=versions(),
        commit=commit(),
        created_at=utc_now(),
        **fields,
    )
