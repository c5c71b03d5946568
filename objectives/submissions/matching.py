"""Which answer belongs to which question, for answers that were made elsewhere."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from pathlib import PurePosixPath

from objectives.benchmarks.base import Benchmark, Question
from objectives.errors import DataError
from objectives.submissions.answers import Answer, plain

_BLOCK = 10_000_000  # LLaVA numbers POPE's three strategies from 1, 2 and 3 times this


def match(benchmark: Benchmark, questions: Sequence[Question], given: Sequence[Answer]) -> list[str | None]:
    """The answer to each question; None where there is none.

    By id or by image and text, whichever finds more; else by order, where numbers and texts agree; else
    by the whole prompt.

    Raises:
        DataError: the answers are not to these questions, or it cannot be told which is to which.
    """
    ways = (_by(questions, given, lambda q: [q.id], lambda g: list(g.ids)), _by(questions, given, _places, _named))
    best = max(ways, key=_found)
    if _found(best):
        return best
    asked = [plain(benchmark.prompt(q)) for q in questions]
    if ordered := _by_order(questions, asked, given):
        return ordered
    _check_distinct(questions, asked, {plain(each.prompt) for each in given})
    prompts = dict(zip(questions, asked, strict=True))
    best = _by(questions, given, lambda q: [prompts[q]], lambda g: [plain(g.prompt)])
    if not _found(best):
        n, m = len(given), len(questions)
        raise DataError(f"the {n} answers name none of the {m} questions, by id, image or prompt, nor by order")
    return best


def _check_distinct(questions: Sequence[Question], asked: Sequence[str], used: set[str]) -> None:
    """Refuses prompts that several questions share whose truths differ: nothing tells their answers apart."""
    truths: dict[str, tuple[str, ...]] = {}
    for question, prompt in zip(questions, asked, strict=True):
        if prompt in used and truths.setdefault(prompt, question.answers) != question.answers:
            raise DataError(
                f"answers name neither id nor image, are not in the order of the questions, and several "
                f"questions are worded {prompt[:60]!r}; check that answers and truth are of one version"
            )


def _found(answers: Sequence[str | None]) -> int:
    return sum(answer is not None for answer in answers)


def _by(
    questions: Sequence[Question],
    given: Sequence[Answer],
    of_question: Callable[[Question], Sequence[Hashable]],
    of_answer: Callable[[Answer], Sequence[Hashable]],
) -> list[str | None]:
    """Pairs by keys. Questions that share a key take their answers in order; of two answers to one question
    the later counts, as in LLaVA's tools."""
    open_: dict[Hashable, deque[int]] = defaultdict(deque)
    for i, question in enumerate(questions):
        for key in of_question(question):
            open_[key].append(i)
    found: list[str | None] = [None] * len(questions)
    for each in given:
        key = next((key for key in of_answer(each) if key and key in open_), None)
        if key is not None:
            waiting = open_[key]
            found[waiting[0]] = each.text
            if len(waiting) > 1:
                waiting.popleft()
    return found


def _places(question: Question) -> list[Hashable]:
    return [(_stem(question.image), plain(question.text))] if question.image and question.text else []


def _named(given: Answer) -> list[Hashable]:
    names = [name for name in (given.image, *given.ids) if name]
    names += [f"{given.category}/{name}" for name in names if given.category]
    return [(_stem(name), plain(given.prompt)) for name in names] if given.prompt else []


def _stem(image: str) -> str:
    """ "artwork/10002" of "artwork/images/10002.jpg": folders between do not matter, nor does the format."""
    path = PurePosixPath(image)
    return f"{path.parts[0]}/{path.stem}" if len(path.parts) > 1 else path.stem


def _by_order(questions: Sequence[Question], asked: Sequence[str], given: Sequence[Answer]) -> list[str | None] | None:
    """All answers in the order of all questions, or block by block in that of a category; None where they do
    not fit. `asked` are the questions' prompts."""
    if _fit(questions, asked, given):
        return [each.text for each in given]
    categories: dict[str, list[int]] = defaultdict(list)
    for i, question in enumerate(questions):
        categories[question.category].append(i)
    found: list[str | None] = [None] * len(questions)
    for block in _blocks(given):
        fitting = [
            place
            for place in categories.values()
            if _fit([questions[i] for i in place], [asked[i] for i in place], block)
        ]
        if len(fitting) > 1:
            names = ", ".join(sorted(categories))
            raise DataError(f"cannot tell whether answers are to {names}; give the truth file of one of them")
        if not fitting:
            return None
        for i, each in zip(fitting[0], block, strict=True):
            found[i] = each.text
    return found


def _blocks(given: Sequence[Answer]) -> list[list[Answer]]:
    found: dict[Hashable, list[Answer]] = defaultdict(list)
    for each in given:
        number = _number(each.ids[0]) if each.ids else None
        found[each.category or (number is not None and number // _BLOCK)].append(each)
    return list(found.values())


def _fit(questions: Sequence[Question], asked: Sequence[str], given: Sequence[Answer]) -> bool:
    """Whether the answers can be to the questions in this order: as many, no other texts, ids in step."""
    if len(questions) != len(given):
        return False
    steps: set[int] = set()
    for question, prompt, each in zip(questions, asked, given, strict=True):
        if each.prompt and plain(each.prompt) not in (prompt, plain(question.text)):
            return False
        if each.ids:
            mine, theirs = _number(question.id), _number(each.ids[0])
            if mine is not None and theirs is not None:
                steps.add(theirs - mine)
            elif not each.prompt:
                return False
    return len(steps) <= 1


def _number(name: str) -> int | None:
    last = name.rpartition("-")[2]
    return int(last) if last.isdecimal() and last.isascii() and len(last) < 19 else None
