"""The questions that a search certifies on, and what they can certify at best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from objectives.data.source import Problem, QuestionSet, load_questions
from search.certifying.evidence import Evidence
from search.certifying.refine import Aim
from search.certifying.tasks import CertifyQuestions, embedded_questions_of, other_questions_of
from search.inputs.limits import LEAST_QUESTIONS, POOL
from search.inputs.questions import StudyQuestions

Panels = dict[tuple[str, str], QuestionSet]


@dataclass(frozen=True)
class Wanted:
    """What is to be certified of each study.

    Attributes:
        margins: accuracy that may be lost, in points.
        level: chance of any wrong certificate of a study, in percent.
        pool: test questions; None for the default: all of a file of your own, else `POOL`.
        batch: prompts that are timed at once, besides single ones.
        again: whether a stored plan of the same margins, level and pool is taken as it is.
    """

    margins: Sequence[float]
    level: float
    pool: int | None = None
    batch: int = 8
    again: bool = False

    def aim(self, pool: int) -> Aim:
        """Return the same in parts of 1, for a pool of this size."""
        return Aim(tuple(margin / 100 for margin in self.margins), self.level / 100, pool)


class FurtherQuestions:
    """The questions behind those of the studies, one a source of questions.

    Args:
        questions: of the studies; none where certifying is off.
        problem: why a model cannot take a question.

    Raises:
        DataError: the data cannot be used, or a model cannot take it.

    Attributes:
        names: of the sources.
        reasons: why nothing is certified, by name.
        panels: what a worker needs of questions that are not embedded, by benchmark and split.
    """

    def __init__(self, wanted: Wanted, questions: Iterable[StudyQuestions], problem: Problem) -> None:
        self.wanted = wanted
        self._parts = {part.key: part for part in questions}
        self._further: dict[str, CertifyQuestions] = {}
        self.names = frozenset(self._parts)
        self.reasons: dict[str, str] = {}
        self.panels: Panels = {}
        for part in self._parts.values():
            self._load(part, problem)

    def of(self, name: str) -> CertifyQuestions:
        """Return the questions of a source that has no reason against them."""
        return self._further[name]

    def at_best(self) -> dict[str, tuple[int, float]]:
        """Return the test questions of each source, and the smallest margin (of 1) that they can certify."""
        best = {}
        for name in self._parts:
            if name not in self.reasons:
                units = self.of(name).test_units
                margin = Evidence(units).at_best(self.wanted.aim(len(units)).margin_level)
                best[name] = (len(units), margin)
        return best

    def opening_lines(self) -> list[str]:
        """Return what can be certified at best, before anything is measured."""
        return [
            f"certify    {name}: {size} test questions, at best within {100 * margin:.2g} points"
            for name, (size, margin) in self.at_best().items()
        ]

    def _load(self, part: StudyQuestions, problem: Problem) -> None:
        name, pool = part.key, self.wanted.pool
        if part.loaded.benchmark.corpus:
            self.reasons[name] = "its scores depend on the other questions, so that no test has a level: an estimate"
        elif part.source.embedded:
            self._further[name] = embedded_questions_of(part.loaded.questions, pool or POOL)
        else:
            size = part.loaded.sizes.get("test", 0)
            if size < LEAST_QUESTIONS:
                self.reasons[name] = f"only {size} test questions, at least {LEAST_QUESTIONS}"
                return
            splits = {split: load_questions(part.source, split, None, problem) for split in ("validation", "test")}
            pool = pool or (size if part.source.data else POOL)
            self._further[name], asked = other_questions_of(splits["validation"], splits["test"], pool)
            self.panels |= {(name, split): chosen for split, chosen in asked.items()}
