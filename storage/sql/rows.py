"""Between records and table rows: NaN and NULL, numpy numbers, odd text, packed scores."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import RowMapping

from himap.config import PruningConfig
from himap.presets.schema import Timing
from storage.confirmation import Confirmation
from storage.errors import RecordError
from storage.records import JobRecord, Latency, Lease, QuestionSource, RunningTrial, StudyKey, Trial, latency_fields
from storage.sql.schema import Field, record_fields

T = TypeVar("T")
_FIELDS: dict[type[Any], dict[str, Field]] = {
    record: record_fields(record)
    for record in (StudyKey, QuestionSource, Trial, RunningTrial, Lease, Confirmation, JobRecord)
}
_FLOATS = {
    record: tuple(name for name, field in columns.items() if field.kind is float) for record, columns in _FIELDS.items()
}
_CONFIG = tuple(record_fields(PruningConfig))


def row_values(record: object, called: str) -> dict[str, Any]:
    """Return the column values of a record, without its scores; numbers of numpy become Python's.

    Raises:
        RecordError: a value of the wrong type; `called` names the record in the message.
    """
    config = getattr(record, "config", None)
    values: dict[str, Any] = {}
    for name, field in _FIELDS[type(record)].items():
        value = None
        try:
            value = getattr(config if config is not None and name in _CONFIG else record, name)
            values[name] = _column(field, value)
        except (TypeError, ValueError, AttributeError) as error:
            raise RecordError(f"{called}: got {name}={value!r}; expected {field.kind.__name__}") from error
    return values


def latency_values(latency: Latency) -> dict[str, Any]:
    """Return the values of the columns that a latency sets."""
    return {name: _column(_FIELDS[Trial][name], value) for name, value in latency_fields(latency).items()}


def read_record(kind: type[T], row: RowMapping, packed: bytes | None = None) -> T:
    """Return the record of a row that holds the columns of its class, with its scores where they were read."""
    values: dict[str, Any] = {name: row[name] for name in _FIELDS[kind]}
    for name in _FLOATS[kind]:
        if values[name] is None:
            values[name] = math.nan
    if "timings" in values:
        values["timings"] = tuple(Timing(**timing) for timing in values["timings"])
    if kind is QuestionSource:
        values["skipped"] = tuple(tuple(item) for item in values["skipped"])
    if "metrics" in values:
        values["metrics"] = {name: math.nan if x is None else x for name, x in values["metrics"].items()}
    if "k1" in values:
        values["config"] = _stored_config({name: values.pop(name) for name in _CONFIG})
    return kind(**values, **({} if packed is None else {"scores": unpack_scores(packed)}))


def _stored_config(settings: dict[str, Any]) -> PruningConfig:
    """Return a configuration without its checks: it was checked when it was written, perhaps by a process that knows
    more criteria than this one, and a store has many."""
    config = object.__new__(PruningConfig)
    vars(config).update(settings)
    return config


def pack_scores(scores: Sequence[float]) -> bytes:
    """Return scores as compressed 64-bit floats: exact, and short for the usual zeros and ones."""
    return zlib.compress(struct.pack(f"<{len(scores)}d", *scores), 6)


def unpack_scores(packed: bytes) -> tuple[float, ...]:
    """Return the scores that `pack_scores` was given."""
    raw = zlib.decompress(packed)
    return struct.unpack(f"<{len(raw) // 8}d", raw)


def _column(field: Field, value: Any) -> Any:
    if value is None and field.nullable and field.kind is not float:
        return None
    if field.kind is int:
        if int(value) != value:
            raise ValueError(value)
        return int(value)
    if field.kind is float:
        return _number(value)
    if field.kind is bool:
        return bool(value)
    if field.kind is dict:
        return {_text(str(k)): _text(str(v)) if field.values is str else _number(v) for k, v in value.items()}
    if field.kind is tuple:
        return [_item(item) for item in value]
    return value if field.kind is datetime else _text(value)


def _item(item: Timing | tuple[int, str]) -> Any:
    if isinstance(item, Timing):
        return item.model_dump()
    return [_text(part) if isinstance(part, str) else int(part) for part in item]


def _number(value: Any) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number


def _text(value: str) -> str:
    """Return text that every database takes: no NUL (PostgreSQL refuses it), no lone surrogates."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
