"""Between value objects and table rows: NaN and NULL, numpy numbers, odd text, packed scores."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from storage.confirmation import Confirmation
from storage.errors import RecordError
from storage.records import QuestionSource, StudyKey, Trial

KEY_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(StudyKey))
TRIAL_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Trial) if field.name != "scores")
CONFIRMATION_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Confirmation) if field.name != "scores")
_KINDS: dict[str, str] = {field.name: str(field.type) for record in (Trial, Confirmation) for field in fields(record)}


def key_values(key: StudyKey) -> dict[str, Any]:
    """Column values of a study key; numbers of numpy become Python's, which every driver takes."""
    values = {name: getattr(key, name) for name in KEY_FIELDS}
    return {name: _text(value) if isinstance(value, str) else int(value) for name, value in values.items()}


def trial_values(trial: Trial) -> dict[str, Any]:
    """Column values of a trial, without its scores. Raises RecordError for a value of the wrong type."""
    return _values(trial, TRIAL_FIELDS, f"trial {trial.number}")


def confirmation_values(confirmation: Confirmation) -> dict[str, Any]:
    """Column values of a confirmation and its scores. Raises RecordError for a value of the wrong type."""
    values = _values(confirmation, CONFIRMATION_FIELDS, f"confirmation on {confirmation.split} questions")
    return {**values, "packed": pack_scores(confirmation.scores)}


def question_values(source: QuestionSource) -> dict[str, Any]:
    """Column values of a source of questions."""
    skipped = [[int(line), _text(reason)] for line, reason in source.skipped]
    return {"origin": _text(source.origin), "options": _text(source.options), "skipped": skipped}


def question_source(row: Mapping[str, Any]) -> QuestionSource:
    """The source of questions of a row."""
    skipped = tuple((line, reason) for line, reason in row["skipped"])
    return QuestionSource(row["origin"], row["options"], skipped)


def _values(record: object, names: Sequence[str], called: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in names:
        value = getattr(record, name)
        try:
            values[name] = _column(_KINDS[name], value)
        except (TypeError, ValueError) as error:
            raise RecordError(f"{called}: got {name}={value!r}; expected {_KINDS[name]}") from error
    return values


def trial_record(row: Mapping[str, Any], scores: bytes | None = None) -> Trial:
    """The trial of a row that holds `TRIAL_FIELDS`, and of its packed scores where they were read."""
    return Trial(**_read(row, TRIAL_FIELDS), scores=() if scores is None else unpack_scores(scores))


def confirmation_record(row: Mapping[str, Any]) -> Confirmation:
    """The confirmation of a row that holds `CONFIRMATION_FIELDS` and its packed scores."""
    return Confirmation(**_read(row, CONFIRMATION_FIELDS), scores=unpack_scores(row["packed"]))


def _read(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    values = {name: row[name] for name in names}
    for name in names:
        if values[name] is None and _KINDS[name] == "float":
            values[name] = math.nan
    values["metrics"] = {name: math.nan if x is None else x for name, x in values["metrics"].items()}
    return values


def pack_scores(scores: Sequence[float]) -> bytes:
    """Scores as compressed 64-bit floats: exact, and short for the usual zeros and ones."""
    return zlib.compress(struct.pack(f"<{len(scores)}d", *scores), 6)


def unpack_scores(packed: bytes) -> tuple[float, ...]:
    """The scores that `pack_scores` was given."""
    raw = zlib.decompress(packed)
    return struct.unpack(f"<{len(raw) // 8}d", raw)


def _column(kind: str, value: Any) -> Any:
    if kind == "int | None":
        return None if value is None else _column("int", value)
    if kind == "int":
        if int(value) != value:
            raise ValueError(value)
        return int(value)
    if kind == "float":
        return _number(value)
    if kind == "dict[str, str]":
        return {_text(str(name)): _text(str(text)) for name, text in value.items()}
    if kind == "dict[str, float]":
        return {_text(str(name)): _number(number) for name, number in value.items()}
    return value if kind == "datetime" else _text(value)


def _number(value: Any) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number


def _text(value: str) -> str:
    """Text that every database takes: no NUL (PostgreSQL refuses it), no lone surrogates."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
