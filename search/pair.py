"""A model-benchmark pair in progress."""

from __future__ import annotations

from dataclasses import dataclass, field

from search.asked import Asked
from search.study import Candidate, PairStudy
from storage import QuestionSource, StudyKey, Trial


@dataclass
class Pair:
    """A model-benchmark pair in progress: its study, its stored trials and what is being measured.

    `untimed` are results that the study is told once their latency is measured, `asked` the questions.
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

    @property
    def sources(self) -> dict[str, QuestionSource]:
        """Where the questions come from, by benchmark, if they are not embedded."""
        record = None if self.asked is None else self.asked.record
        return {} if record is None else {self.key.benchmark: record}

    @property
    def wants(self) -> bool:
        """Whether another candidate should be handed out."""
        return bool(self.retry) or (not self.exhausted and len(self.trials) + self.running < self.budget)

    @property
    def done(self) -> bool:
        return not self.wants and not self.running and not self.untimed

    @property
    def progress(self) -> float:
        """Part of the budget that is spent or being spent."""
        return (len(self.trials) + self.running) / self.budget
