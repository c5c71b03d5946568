"""A model-benchmark pair in progress."""

from __future__ import annotations

from dataclasses import dataclass, field

from search.asked import Asked
from search.study import Candidate, PairStudy
from storage import QuestionSource, StudyKey, Trial

_FAILURES_IN_A_ROW = 8


@dataclass
class Pair:
    """A model-benchmark pair in progress: its study, its stored trials and what is being measured.

    `untimed` are results that the study is told once their latency is measured, `asked` the questions.
    `hopeless` says why it was given up: its measurements failed, one after the other.
    """

    key: StudyKey
    study_id: int
    study: PairStudy
    budget: int
    trials: list[Trial]
    running: int = 0
    exhausted: bool = False
    retry: list[Candidate] = field(default_factory=list)
    untimed: list[tuple[Candidate, Trial]] = field(default_factory=list)
    asked: Asked | None = None
    hopeless: str = ""
    _failures: int = 0

    def add(self, trial: Trial) -> None:
        """A stored trial; the pair is given up after too many failures in a row."""
        self.trials.append(trial)
        self._failures = self._failures + 1 if trial.failed else 0
        if self._failures >= _FAILURES_IN_A_ROW:
            self.hopeless = (
                f"{self.key.benchmark}: the last {self._failures} measurements failed, the last one with: "
                f"{trial.reason}; what was measured is stored, and the same command goes on from there"
            )

    @property
    def sources(self) -> dict[str, QuestionSource]:
        """Where the questions come from, by benchmark, if they are not embedded."""
        record = None if self.asked is None else self.asked.record
        return {} if record is None else {self.key.benchmark: record}

    @property
    def wants(self) -> bool:
        """Whether another candidate should be handed out."""
        if self.hopeless:
            return False
        return bool(self.retry) or (not self.exhausted and len(self.trials) + self.running < self.budget)

    @property
    def done(self) -> bool:
        return not self.wants and not self.running and not self.untimed

    @property
    def progress(self) -> float:
        """Part of the budget that is spent or being spent."""
        return (len(self.trials) + self.running) / self.budget
