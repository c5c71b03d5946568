"""Check the labels in files of published benchmarks: what is no label is refused with its place and the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from objectives.benchmarks.base import Question
from objectives.errors import DataError

# What a reader of rows meets in a file of another form.
BROKEN_ROW = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError)


def read_each(
    row: Callable[[Any, int], Question], records: Iterable[Any], source: object, unit: str = "record"
) -> list[Question]:
    """Return the question of every record; a DataError names the source and the record that cannot be used, from 1."""
    questions = []
    for index, record in enumerate(records):
        try:
            questions.append(row(record, index))
        except DataError as error:
            raise DataError(f"{source} {unit} {index + 1}: {error}") from None
    return questions


def yes_or_no(value: Any) -> str:
    """Return a label in lower case; raise DataError where it is neither yes nor no."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if text not in ("yes", "no"):
        raise DataError(f"got label {shown(value)}; expected yes or no")
    return text


def texts(values: Any) -> tuple[str, ...]:
    """Return a list of annotators' answers; raise DataError where one is no text, or there are none."""
    if not isinstance(values, list | tuple) or not values:
        raise DataError(f"got answers {shown(values)}; expected a list of texts")
    for value in values:
        if not isinstance(value, str):
            raise DataError(f"got answer {shown(value)}; expected text")
    return tuple(values)


def wording(value: Any) -> str:
    """Return the text of a question; raise DataError where it is none."""
    if not isinstance(value, str):
        raise DataError(f"got question {shown(value)}; expected text")
    return value


def letter(value: Any, choices: Any) -> str:
    """Return the letter of an option given by its index; raise DataError where there is no such option."""
    count = len(texts(choices))
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise DataError(f"got right option {shown(value)}; expected an index from 0 to {count - 1}")
    return chr(65 + value)


def shown(value: Any) -> str:
    """Return a JSON value as its file has it, cut to 40 characters."""
    names = {"None": "null", "True": "true", "False": "false", "nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    text = repr(value)
    return names.get(text, text if len(text) <= 40 else f"{text[:37]}...")
