"""The questions of a search: loaded and checked before anything is stored or started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from objectives.data.source import Problem, QuestionSet, Source, load_questions
from objectives.evaluation.evaluator import check_questions
from objectives.evaluation.prompt_check import PromptCheck
from search.errors import UsageError
from search.inputs.limits import LEAST_QUESTIONS
from storage import QuestionSource
from storage.confirmation import HELD_OUT

SPLIT = "validation"  # of a search; confirmations take HELD_OUT
_SHOWN = 3  # rows that were left out


@dataclass(frozen=True)
class StudyQuestions:
    """The questions that a study asks from one source, `n` of them."""

    source: Source
    loaded: QuestionSet
    n: int

    @property
    def key(self) -> str:
        """What a study calls them: the benchmark, with a digest where they are not embedded."""
        return self.loaded.key

    @property
    def record(self) -> QuestionSource | None:
        """What a store and a preset keep of the source; None of embedded scenes."""
        source = self.source
        if source.embedded:
            return None
        return QuestionSource(
            self.loaded.origin,
            benchmark=source.benchmark,
            data=str(source.data or ""),
            metric=source.metric,
            data_root=str(source.data_root or ""),
            hub=source.hub,
            skip_bad=source.skip_bad,
            skipped=tuple((bad.line, bad.problem) for bad in self.loaded.skipped),
        )

    def lines(self) -> list[str]:
        """Return what a user should know of questions that are not embedded."""
        if self.source.embedded:
            return []
        loaded, skipped = self.loaded, self.loaded.skipped
        sizes = ", ".join(f"{size} for {split}" for split, size in loaded.sizes.items())
        lines = [f"questions  {loaded.key}: {self.n} of {loaded.origin}, which has {sizes}"]
        if skipped:
            some = "; ".join(f"{bad.word} {bad.line}: {bad.problem}" for bad in skipped[:_SHOWN])
            more = f"; and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else ""
            lines.append(f"left out   {len(skipped)} row(s) that cannot be used: {some}{more}")
        few = self.n < LEAST_QUESTIONS
        if few:
            lines.append(f"NOTE: of {self.n} questions one answer is {100 / self.n:.0f} points of accuracy.")
        if loaded.sizes.get(HELD_OUT, 0) < LEAST_QUESTIONS:
            also = "also " if few else ""
            lines.append(f"NOTE: {also}too few test questions to certify presets, which takes {LEAST_QUESTIONS}.")
        return lines


def load_study_questions(source: Source, split: str, n: int, problem: Problem | None = None) -> StudyQuestions:
    """Return the first `n` questions of a split, or as many as there are.

    Args:
        problem: as for `load_questions`.

    Raises:
        DataError: the data cannot be used, or a model cannot take it.
    """
    loaded = load_questions(source, split, n, problem)
    check_questions(loaded.questions)
    return StudyQuestions(source, loaded, n if source.embedded else len(loaded.questions))


def searched_questions(check: PromptCheck, sources: Iterable[Source], n: int) -> list[StudyQuestions]:
    """Return the questions of all sources that a search asks of a checkpoint; raise as `load_study_questions`."""
    return [load_study_questions(source, SPLIT, n, check.problem) for source in sources]


def source_options(records: Sequence[QuestionSource | None]) -> list[str]:
    """Return the options by which a command takes the questions of all these sources; none for embedded scenes."""
    first = records[0] if records else None
    if first is None or first.data:
        return [] if first is None else first.arguments
    return ["--benchmark", *(record.benchmark for record in records if record), *first.arguments[2:]]


class Library:
    """The questions of sources that are not embedded, by key; each part is loaded once.

    Args:
        weights: folder or hub id of the checkpoint that is to take them.
    """

    def __init__(self, weights: str, sources: Iterable[Source] = ()) -> None:
        self._sources = [source for source in sources if not source.embedded]
        self._problem = PromptCheck(weights).problem
        self._parts: dict[tuple[str, int], dict[str, StudyQuestions]] = {}

    def part(self, split: str, n: int) -> Mapping[str, StudyQuestions]:
        """Return the first `n` questions of a split, of every source.

        Raises:
            DataError: as `load_study_questions`.
            UsageError: too few questions for a certificate.
        """
        if (split, n) not in self._parts:
            part = [load_study_questions(source, split, n, self._problem) for source in self._sources]
            for questions in part if split.startswith(HELD_OUT) else ():
                _check_enough(questions)
            self._parts[split, n] = {questions.key: questions for questions in part}
        return self._parts[split, n]

    def questions(self, split: str, n: int) -> dict[str, QuestionSet]:
        """Return the same as workers take them."""
        return {key: questions.loaded for key, questions in self.part(split, n).items()}

    def records(self, split: str, n: int) -> dict[str, QuestionSource]:
        """Return the same as presets name them."""
        return {key: record for key, questions in self.part(split, n).items() if (record := questions.record)}


def _check_enough(questions: StudyQuestions) -> None:
    if questions.n < LEAST_QUESTIONS:
        raise UsageError(
            f"{questions.loaded.origin} has {questions.n} test question(s); a confirmation takes at least "
            f"{LEAST_QUESTIONS}, of images that the search never saw: add rows with further images"
        )
