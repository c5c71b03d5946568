"""The questions of a search: loaded and checked before anything is stored or started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from objectives.data.source import QuestionSet, Source, load_questions
from objectives.evaluation.evaluator import check_questions
from objectives.evaluation.models import image_token_counts
from search.errors import UsageError
from search.inputs.limits import LEAST_QUESTIONS
from storage import QuestionSource
from storage.confirmation import HELD_OUT

SPLIT = "validation"  # of a search; confirmations take HELD_OUT
_SHOWN = 3  # rows that were left out
_UNFIT = (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError)  # what image processors raise


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
            skip_bad=source.skip_bad and source.data is not None,
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
            some = "; ".join(f"line {bad.line}: {bad.problem}" for bad in skipped[:_SHOWN])
            more = f"; and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else ""
            lines.append(f"left out   {len(skipped)} row(s) that cannot be used: {some}{more}")
        few = self.n < LEAST_QUESTIONS
        if few:
            lines.append(f"NOTE: of {self.n} questions one answer is {100 / self.n:.0f} points of accuracy.")
        if loaded.sizes.get(HELD_OUT, 0) < LEAST_QUESTIONS:
            also = "also " if few else ""
            lines.append(f"NOTE: {also}too few test questions to certify presets, which takes {LEAST_QUESTIONS}.")
        return lines


def load_study_questions(source: Source, split: str, n: int) -> StudyQuestions:
    """Return the first `n` questions of a split, or as many as there are.

    Raises:
        DataError: the data cannot be used.
    """
    loaded = load_questions(source, split, n)
    check_questions(loaded.questions)
    return StudyQuestions(source, loaded, n if source.embedded else len(loaded.questions))


def source_options(records: Sequence[QuestionSource | None]) -> list[str]:
    """Return the options by which a command takes the questions of all these sources; none for embedded scenes."""
    first = records[0] if records else None
    if first is None or first.data:
        return [] if first is None else first.arguments
    return ["--benchmark", *(record.benchmark for record in records if record), *first.arguments[2:]]


def image_tokens(model: str, questions: StudyQuestions) -> list[int]:
    """Return how many image tokens the model makes of each question's images.

    Raises:
        UsageError: it cannot take one of the images.
    """
    loaded = questions.loaded
    try:
        return image_token_counts(model, loaded.questions)
    except _UNFIT as error:
        for question in loaded.questions:
            try:
                image_token_counts(model, [question])
            except _UNFIT as reason:
                raise UsageError(
                    f"the model cannot take {' and '.join(question.images)} of question {question.id!r} "
                    f"({' '.join(str(reason).split())}); leave that question out, or make other images of it"
                ) from reason
        raise UsageError(f"the model cannot take the images of {loaded.origin} ({error})") from error


class Library:
    """The questions of sources that are not embedded, by key; each part is loaded once."""

    def __init__(self, sources: Iterable[Source] = ()) -> None:
        self._sources = [source for source in sources if not source.embedded]
        self._parts: dict[tuple[str, int], dict[str, StudyQuestions]] = {}

    def part(self, split: str, n: int) -> Mapping[str, StudyQuestions]:
        """Return the first `n` questions of a split, of every source.

        Raises:
            DataError: as `load_study_questions`.
            UsageError: too few questions for a certificate.
        """
        if (split, n) not in self._parts:
            part = [load_study_questions(source, split, n) for source in self._sources]
            for questions in part if split == HELD_OUT else ():
                _check_enough(questions)
            self._parts[split, n] = {questions.key: questions for questions in part}
        return self._parts[split, n]

    def questions(self, split: str, n: int, model: str) -> dict[str, QuestionSet]:
        """Return the same as workers take them; raise UsageError for images that the model cannot take."""
        for questions in self.part(split, n).values():
            image_tokens(model, questions)
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
