"""Read the user's own questions in any form, checked row by row, with all errors reported together.

    {"id": "1", "image": "cat.png", "question": "What is it?", "answer": "cat"}

`image` is a path below the data root or the bytes of an image file, or a list of them; `video`, a clip or a folder of
frames below the data root, may replace it; `answers` may replace `answer`; `choices` are the options of a multiple
choice; subsets are balanced by `category`, which is optional.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Container, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from objectives.benchmarks.base import Question
from objectives.benchmarks.custom import metric_name
from objectives.benchmarks.rules.free_number import read_number
from objectives.data.images import MOST_PIXELS, read_image
from objectives.data.kept_images import keep_bytes
from objectives.data.own_forms import FORMS, RefusedRowError, kind, read_items
from objectives.data.videos import video_frames
from objectives.errors import DataError

SHOWN = 20
_MOST_SHOWN = 300  # letters of a problem
_MOST_CHOICES = 26
_MOST_LETTERS = 100_000  # of a text
_MOST_IMAGES = 64  # of a question
_MOST_EXACT = 2**53  # above it a float stands for several whole numbers
_MOST_TOGETHER = 2 * MOST_PIXELS  # in the images of a question


@dataclass(frozen=True)
class BadRow:
    """A line of a file that cannot be used, or a question by its number in a benchmark, and the reason in one line."""

    line: int
    problem: str
    word: str = "line"

    def __post_init__(self) -> None:
        object.__setattr__(self, "problem", shortened(self.problem))


def shortened(text: str) -> str:
    """Return a text of a file as one printable line of at most 300 letters, without its middle if need be."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(line.split())
    return line if len(line) <= _MOST_SHOWN else f"{line[: _MOST_SHOWN // 2]} ... {line[-_MOST_SHOWN // 2 :]}"


class BadRowsError(DataError):
    """Rows of a source cannot be used; the message lists the first twenty."""

    def __init__(self, origin: Path | str, bad: list[BadRow], rows: int) -> None:
        self.bad = bad
        if len(bad) == 1:
            only = f"{bad[0].word} {bad[0].line} of {origin} cannot be used ({bad[0].problem})"
            super().__init__(f"{only}; correct it, or leave it out with --on-bad skip")
            return
        shown = "".join(f"\n  {row.word} {row.line}: {row.problem}" for row in bad[:SHOWN])
        more = f"\n  and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        message = f"{len(bad)} of {rows} rows of {origin} cannot be used"
        super().__init__(f"{message}; correct them, or leave them out with --on-bad skip:{shown}{more}")


def read_own(
    path: Path,
    metric: str,
    root: Path | None = None,
    problem: Callable[[Question], str] = lambda question: "",
    left_out: Container[int] = (),
) -> tuple[list[Question], list[BadRow]]:
    """Return the questions of a file in order, and the rows that cannot be used.

    Args:
        metric: decides which answers a row may have.
        root: the folder of relative image paths, by default the file's; no image may lie outside of it.
        problem: returns why a model cannot take a question, or "".
        left_out: numbers of lines that are not read.

    Raises:
        DataError: the file cannot be read, or has no rows.
    """
    root = (root or (path if path.is_dir() else path.parent)).resolve()
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; expected the one of relative image paths")
    reader = _Reader(metric_name(metric).partition("=")[0], root)
    questions: list[Question] = []
    bad: list[BadRow] = []
    word, items = read_items(path)
    for number, rows in items:
        if number in left_out:
            continue
        try:
            if isinstance(rows, RefusedRowError):
                raise rows
            asked = [reader.question(row) for row in rows]
            if reason := next(filter(None, map(problem, asked)), ""):
                raise RefusedRowError(reason)
            questions += asked
        except RefusedRowError as refused:
            bad.append(BadRow(number, str(refused), word))
    if not questions and not bad:
        raise DataError(f"{path} is empty; expected questions as {FORMS}")
    return questions, bad


class _Reader:
    """Turns rows into questions; remembers the ids and the images of former rows."""

    def __init__(self, metric: str, root: Path) -> None:
        self._metric, self._root = metric, root
        self._ids: set[str] = set()
        self._videos: dict[Path, list[tuple[Path, int]]] = {}
        self._images: dict[Hashable, str | tuple[Path, int]] = {}  # why it cannot be used, or its path and pixels

    def question(self, row: Mapping[str, Any]) -> Question:
        name = _string(row, "id", numbers=True)
        if name in self._ids:
            raise RefusedRowError(f"id {name!r} was there before; expected a new one for each question")
        images = self._paths(row)
        text = "" if self._metric == "cider" and "question" not in row else _string(row, "question")
        answers = _answers(row)
        choices = _choices(row)
        answers = self._fit(answers, choices)
        category = _string(row, "category", numbers=True) if row.get("category") is not None else ""
        self._ids.add(name)
        return Question(name, images[0], text, answers, choices, category, more_images=tuple(images[1:]))

    def _paths(self, row: Mapping[str, Any]) -> list[str]:
        """Return the absolute paths of a row's images or frames, which are within the limits alone and together."""
        if row.get("video") is not None:
            return self._frames(row)
        given = row.get("image")
        if isinstance(given, list) and not given:
            raise RefusedRowError("'image' is empty")
        sources = given if isinstance(given, list) else [_field(row, "image")]
        if len(sources) > _MOST_IMAGES:
            raise RefusedRowError(f"got {len(sources)} images; expected at most {_MOST_IMAGES}")
        return self._together(
            [self._held(one) if isinstance(one, bytes) else self._image(_text(one, "image")) for one in sources]
        )

    def _frames(self, row: Mapping[str, Any]) -> list[str]:
        """Return the absolute paths of the frames of a row's video; each video is decoded once."""
        if row.get("image") is not None:
            raise RefusedRowError("has both 'image' and 'video'; expected one of them")
        path = self._inside(_string(row, "video"), "video")
        if path not in self._videos:
            try:
                frames = video_frames(path)
            except DataError as error:
                raise RefusedRowError(str(error)) from error
            self._videos[path] = [
                self._held(one) if isinstance(one, bytes) else self._image(str(one)) for one in frames
            ]
        return self._together(self._videos[path])

    def _together(self, images: list[tuple[Path, int]]) -> list[str]:
        pixels = sum(pixels for _, pixels in images)
        if pixels > _MOST_TOGETHER:
            raise RefusedRowError(f"its images have {pixels:,} pixels together; at most {_MOST_TOGETHER:,} are read")
        return [str(path) for path, _ in images]

    def _image(self, given: str) -> tuple[Path, int]:
        """Return the path and the number of pixels of an image."""
        path = self._inside(given, "image")
        return self._checked(path, path, lambda: path)

    def _inside(self, given: str, name: str) -> Path:
        """Return the absolute path of a file below the data root."""
        try:
            path = (self._root / given).resolve()
            inside = path.is_relative_to(self._root)
        except (ValueError, OSError, RuntimeError) as error:
            raise RefusedRowError(f"{name} {given!r} is no path ({error})") from error
        if not inside:
            raise RefusedRowError(f"{name} {given!r} lies outside the data root {self._root}")
        return path

    def _held(self, content: bytes) -> tuple[Path, int]:
        """Return the path and the number of pixels of an image that the file itself holds."""
        digest = hashlib.sha256(content).digest()
        return self._checked(digest, io.BytesIO(content), lambda: keep_bytes(content))

    def _checked(self, key: Hashable, file: Path | BinaryIO, keep: Callable[[], Path]) -> tuple[Path, int]:
        """Return the path, by `keep`, and the pixels of an image that can be decoded; each is decoded once."""
        if key not in self._images:
            try:
                image = read_image(file)
                self._images[key] = keep(), image.width * image.height
            except (DataError, OSError, ValueError) as error:
                self._images[key] = str(error)
        known = self._images[key]
        if isinstance(known, str):
            raise RefusedRowError(known)
        return known

    def _fit(self, answers: tuple[str, ...], choices: tuple[str, ...]) -> tuple[str, ...]:
        """Return the answers in the form that the metric compares, or refuse those that it cannot compare."""
        if self._metric == "multiple_choice":
            return (_letter(answers, choices),)
        if choices and not set(answers) <= set(choices):
            raise RefusedRowError(f"answer {answers[0]!r} is not among the choices {', '.join(choices)}")
        if self._metric == "yes_no":
            words = tuple(answer.strip().lower() for answer in answers)
            if len(set(words)) != 1 or words[0] not in ("yes", "no"):
                raise RefusedRowError(f"got answer {answers[0]!r}; expected yes or no")
            return words[:1]
        if self._metric == "number" and any(read_number(answer) is None for answer in answers):
            raise RefusedRowError(f"got answer {answers[0]!r}; expected a number")
        return answers


def _string(row: Mapping[str, Any], name: str, *, numbers: bool = False) -> str:
    """Return the text of a field, which must exist and not be empty."""
    return _text(_field(row, name), name, numbers=numbers)


def _field(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise RefusedRowError(f"lacks {name!r}")
    return row[name]


def _text(value: Any, name: str, *, numbers: bool = False) -> str:
    if numbers and isinstance(value, float) and not math.isfinite(value):
        raise RefusedRowError(f"{name!r} holds {value}, which is no number; expected text or a finite number")
    if numbers and isinstance(value, int | float) and not isinstance(value, bool):
        whole = isinstance(value, float) and value.is_integer() and abs(value) < _MOST_EXACT
        try:
            return str(int(value) if whole else value)  # a table with gaps writes 5 as 5.0
        except ValueError:
            raise RefusedRowError(f"{name!r} is a number of too many digits") from None
    if not isinstance(value, str):
        raise RefusedRowError(f"{name!r} is {kind(value)}; expected text")
    if not value.strip():
        raise RefusedRowError(f"{name!r} is empty")
    if len(value) > _MOST_LETTERS:
        raise RefusedRowError(f"{name!r} has {len(value):,} letters; expected at most {_MOST_LETTERS:,}")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise RefusedRowError(f"{name!r} holds half a character (a lone surrogate)")
    return value


def _list(row: Mapping[str, Any], name: str, *, numbers: bool) -> list[str]:
    if not isinstance(row[name], list):
        raise RefusedRowError(f"{name!r} is {kind(row[name])}; expected a list")
    if not row[name]:
        raise RefusedRowError(f"{name!r} is empty")
    return [_text(value, name, numbers=numbers) for value in row[name]]


def _answers(row: Mapping[str, Any]) -> tuple[str, ...]:
    if ("answer" in row) == ("answers" in row):
        raise RefusedRowError("has both 'answer' and 'answers'" if "answer" in row else "lacks 'answer'")
    if "answers" in row:
        return tuple(_list(row, "answers", numbers=True))
    return (_string(row, "answer", numbers=True),)


def _choices(row: Mapping[str, Any]) -> tuple[str, ...]:
    if row.get("choices") is None:
        return ()
    choices = tuple(_list(row, "choices", numbers=True))
    different = {" ".join(choice.casefold().split()) for choice in choices}
    if len(different) < len(choices) or not 2 <= len(choices) <= _MOST_CHOICES:
        raise RefusedRowError(f"got {len(choices)} choices; expected 2 to {_MOST_CHOICES} different ones")
    return choices


def _letter(answers: tuple[str, ...], choices: tuple[str, ...]) -> str:
    """Return the letter of the right option, given by its words or by its letter."""
    if not choices:
        raise RefusedRowError("lacks 'choices', which a multiple choice needs")
    if len(answers) != 1:
        raise RefusedRowError(f"got {len(answers)} answers; expected one of the choices")
    if answers[0] in choices:
        return chr(65 + choices.index(answers[0]))
    letters = [chr(65 + i) for i in range(len(choices))]
    if answers[0] not in letters:
        raise RefusedRowError(f"answer {answers[0]!r} is not among the choices {', '.join(choices)}")
    return answers[0]
