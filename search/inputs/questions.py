"""The questions that a command is to ask: loaded and checked before anything is stored or started."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from objectives.data.source import QuestionSet, Source, load_questions
from objectives.evaluation.evaluator import check_questions
from objectives.evaluation.models import image_token_counts
from search.errors import UsageError
from search.inputs.limits import LEAST_QUESTIONS
from storage import QuestionSource
from storage.confirmation import HELD_OUT

_TOLD = 3  # rows that were left out
_UNFIT = (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError)  # what image processors raise


@dataclass(frozen=True)
class Asked:
    """Questions of one source. `key` is what a study calls them, `n` how many of them it asks."""

    source: Source
    found: QuestionSet
    n: int

    @property
    def key(self) -> str:
        return self.found.key

    @property
    def record(self) -> QuestionSource | None:
        """What a store and a preset keep of the source; None of embedded scenes."""
        if self.source.embedded:
            return None
        source = self.source
        return QuestionSource(
            self.found.origin,
            benchmark=source.benchmark,
            data=str(source.data or ""),
            metric=source.metric,
            data_root=str(source.data_root or ""),
            hub=source.hub,
            skip_bad=source.skip_bad and source.data is not None,
            skipped=tuple((bad.line, bad.problem) for bad in self.found.skipped),
        )

    def lines(self) -> list[str]:
        """What there is to know about questions that are not embedded."""
        if self.source.embedded:
            return []
        found = self.found
        sizes = ", ".join(f"{size} for {split}" for split, size in found.sizes.items())
        said = [f"questions  {found.key}: {self.n} of {found.origin}, which has {sizes}"]
        if found.skipped:
            some = "; ".join(f"line {bad.line}: {bad.problem}" for bad in found.skipped[:_TOLD])
            more = f"; and {len(found.skipped) - _TOLD} more" if len(found.skipped) > _TOLD else ""
            said.append(f"left out   {len(found.skipped)} row(s) that cannot be used: {some}{more}")
        few = self.n < LEAST_QUESTIONS
        if few:
            said.append(f"NOTE: of {self.n} questions one answer is {100 / self.n:.0f} points of accuracy.")
        if found.sizes.get(HELD_OUT, 0) < LEAST_QUESTIONS:
            also = "also " if few else ""
            said.append(f"NOTE: {also}too few test questions to confirm presets, which takes {LEAST_QUESTIONS}.")
        return said


def options_of(asked: Sequence[Asked]) -> str:
    """What a command takes to ask from the same sources; "" where that is embedded scenes."""
    first = asked[0].source
    if first.embedded or first.data:
        return asked[0].record.options if asked[0].record else ""
    rest = asked[0].record.arguments[2:] if asked[0].record else []
    return shlex.join(["--benchmark", *(each.source.benchmark for each in asked), *rest])


def ask(source: Source, split: str, n: int) -> Asked:
    """The first `n` questions of a split, or as many as there are.

    Raises:
        DataError: the data cannot be used.
    """
    found = load_questions(source, split, n)
    check_questions(found.questions)
    return Asked(source, found, n if source.embedded else len(found.questions))


def image_tokens(model: str, asked: Asked) -> list[int]:
    """How many image tokens the model makes of each question's images.

    Raises:
        UsageError: it cannot take one of the images.
    """
    try:
        return image_token_counts(model, asked.found.questions)
    except _UNFIT as error:
        for question in asked.found.questions:
            try:
                image_token_counts(model, [question])
            except _UNFIT as reason:
                raise UsageError(
                    f"the model cannot take {' and '.join(question.images)} of question {question.id!r} "
                    f"({' '.join(str(reason).split())}); leave that question out, or make other images of it"
                ) from reason
        raise UsageError(f"the model cannot take the images of {asked.found.origin} ({error})") from error


class Library:
    """The questions of sources that are not embedded, by key; each part is loaded once."""

    def __init__(self, sources: Iterable[Source] = ()) -> None:
        self._sources = [source for source in sources if not source.embedded]
        self._parts: dict[tuple[str, int], dict[str, Asked]] = {}

    def part(self, split: str, n: int) -> Mapping[str, Asked]:
        """The first `n` questions of a split, of every source.

        Raises:
            DataError: as `ask`; UsageError: too few questions to confirm anything by.
        """
        if (split, n) not in self._parts:
            asked = [ask(source, split, n) for source in self._sources]
            for each in asked if split == HELD_OUT else ():
                _check_enough(each)
            self._parts[split, n] = {each.key: each for each in asked}
        return self._parts[split, n]

    def questions(self, split: str, n: int, model: str) -> dict[str, QuestionSet]:
        """The same as workers take them; raises UsageError for images that the model cannot take."""
        for asked in self.part(split, n).values():
            image_tokens(model, asked)
        return {key: asked.found for key, asked in self.part(split, n).items()}

    def records(self, split: str, n: int) -> dict[str, QuestionSource]:
        """The same as presets name them."""
        return {key: asked.record for key, asked in self.part(split, n).items() if asked.record}


def _check_enough(asked: Asked) -> None:
    if asked.n < LEAST_QUESTIONS:
        raise UsageError(
            f"{asked.found.origin} has {asked.n} test question(s); a confirmation takes at least {LEAST_QUESTIONS}, of "
            "images that the search never saw: add rows with further images"
        )
