"""Match answers that were made elsewhere to questions."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from pathlib import PurePosixPath

from objectives.benchmarks.base import Benchmark, Question
from objectives.errors import DataError
from objectives.submissions.answers import Answer, plain

_BLOCK = 10_000_000  # LLaVA numbers POPE's three strategies from 1, 2 and 3 times this


def match(benchmark: Benchmark, questions: Sequence[Question], answers: Sequence[Answer]) -> list[str | None]:
    """Return the text of the answer to each question; None where there is none.

    Answers are matched by id or by image and text, whichever matches more; else by order, if numbers and texts
    agree; else by the whole prompt.

    Raises:
        DataError: the answers belong to other questions, or to several questions alike.
    """
    by_id = _by_key(questions, answers, lambda q: [q.id], lambda a: list(a.ids))
    best = max(by_id, _by_key(questions, answers, _question_keys, _answer_keys), key=_matched)
    if _matched(best):
        return best
    prompts = [plain(benchmark.prompt(q)) for q in questions]
    if ordered := _by_order(questions, prompts, answers):
        return ordered
    _check_distinct(questions, prompts, {plain(answer.prompt) for answer in answers})
    prompt_of = dict(zip(questions, prompts, strict=True))
    best = _by_key(questions, answers, lambda q: [prompt_of[q]], lambda a: [plain(a.prompt)])
    if not _matched(best):
        n, m = len(answers), len(questions)
        raise DataError(f"the {n} answers name none of the {m} questions, by id, image or prompt, nor by order")
    return best


def _check_distinct(questions: Sequence[Question], prompts: Sequence[str], used: set[str]) -> None:
    """Raise DataError where questions with different truths share a prompt: their answers look the same."""
    truths: dict[str, tuple[str, ...]] = {}
    for question, prompt in zip(questions, prompts, strict=True):
        if prompt in used and truths.setdefault(prompt, question.answers) != question.answers:
            raise DataError(
                f"answers name neither id nor image, are not in the order of the questions, and several "
                f"questions are worded {prompt[:60]!r}; check that answers and truth belong together"
            )


def _matched(texts: Sequence[str | None]) -> int:
    return sum(text is not None for text in texts)


def _by_key(
    questions: Sequence[Question],
    answers: Sequence[Answer],
    of_question: Callable[[Question], Sequence[Hashable]],
    of_answer: Callable[[Answer], Sequence[Hashable]],
) -> list[str | None]:
    """Match by keys: questions with one key take answers in order, and the last one stays, as in LLaVA's tools."""
    open_: dict[Hashable, deque[int]] = defaultdict(deque)
    for i, question in enumerate(questions):
        for key in of_question(question):
            open_[key].append(i)
    texts: list[str | None] = [None] * len(questions)
    for answer in answers:
        key = next((key for key in of_answer(answer) if key and key in open_), None)
        if key is not None:
            waiting = open_[key]
            texts[waiting[0]] = answer.text
            if len(waiting) > 1:
                waiting.popleft()
    return texts


def _question_keys(question: Question) -> list[Hashable]:
    return [(_stem(question.image), plain(question.text))] if question.image and question.text else []


def _answer_keys(answer: Answer) -> list[Hashable]:
    names = [name for name in (answer.image, *answer.ids) if name]
    names += [f"{answer.category}/{name}" for name in names if answer.category]
    return [(_stem(name), plain(answer.prompt)) for name in names] if answer.prompt else []


def _stem(image: str) -> str:
    """Return "artwork/10002" for "artwork/images/10002.jpg": neither inner folders nor the format matter."""
    path = PurePosixPath(image)
    return f"{path.parts[0]}/{path.stem}" if len(path.parts) > 1 else path.stem


def _by_order(
    questions: Sequence[Question], prompts: Sequence[str], answers: Sequence[Answer]
) -> list[str | None] | None:
    """Match all answers in the order of all questions, or by blocks in that of a category; None if neither fits."""
    if _fit(questions, prompts, answers):
        return [answer.text for answer in answers]
    categories: dict[str, list[int]] = defaultdict(list)
    for i, question in enumerate(questions):
        categories[question.category].append(i)
    texts: list[str | None] = [None] * len(questions)
    for block in _blocks(answers):
        fitting = [
            members
            for members in categories.values()
            if _fit([questions[i] for i in members], [prompts[i] for i in members], block)
        ]
        if len(fitting) > 1:
            names = ", ".join(sorted(categories))
            raise DataError(f"cannot tell whether answers belong to {names}; give the truth file of one of them")
        if not fitting:
            return None
        for i, answer in zip(fitting[0], block, strict=True):
            texts[i] = answer.text
    return texts


def _blocks(answers: Sequence[Answer]) -> list[list[Answer]]:
    blocks: dict[Hashable, list[Answer]] = defaultdict(list)
    for answer in answers:
        number = _number(answer.ids[0]) if answer.ids else None
        blocks[answer.category or (number is not None and number // _BLOCK)].append(answer)
    return list(blocks.values())


def _fit(questions: Sequence[Question], prompts: Sequence[str], answers: Sequence[Answer]) -> bool:
    """Return whether answers fit questions in this order: equal texts, and ids with one common offset."""
    if len(questions) != len(answers):
        return False
    offsets: set[int] = set()
    for question, prompt, answer in zip(questions, prompts, answers, strict=True):
        if answer.prompt and plain(answer.prompt) not in (prompt, plain(question.text)):
            return False
        if answer.ids:
            own, given = _number(question.id), _number(answer.ids[0])
            if own is not None and given is not None:
                offsets.add(given - own)
            elif not answer.prompt:
                return False
    return len(offsets) <= 1


def _number(name: str) -> int | None:
    last = name.rpartition("-")[2]
    return int(last) if last.isdecimal() and last.isascii() and len(last) < 19 else None
