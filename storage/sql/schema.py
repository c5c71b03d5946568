"""The tables, and how an older store becomes a current one.

The columns of a table are the fields of its record, so that each field is named once. A new store is created from
these tables and marked with `CURRENT`. A store of an older version runs the numbered functions of `MIGRATIONS` above
its version, all in one transaction. To change a table after a release: change the record, write the function that
alters the table, add it as `MIGRATIONS[CURRENT + 1]`, and raise `CURRENT`. Table names carry a prefix, since Optuna,
which may share the database, also calls its tables studies and trials.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    func,
    insert,
    inspect,
    select,
    types,
)
from sqlalchemy.engine import Dialect

from himap.config import PruningConfig
from storage.confirmation import Confirmation
from storage.records import JobRecord, Lease, QuestionSource, RunningTrial, StudyKey, Trial, utc_now

CURRENT = 1


class UtcTime(types.TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets time zones, so it is written in UTC and read back as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_TYPES: dict[Any, Any] = {
    str: types.String,
    int: types.BigInteger,
    bool: types.Boolean,
    float: types.Double,
    datetime: UtcTime,
    dict: JSON,
    tuple: JSON,
}


class Field(NamedTuple):
    """A column of a record: its Python type, whether it may be NULL (None, or NaN of what was not measured), and the
    type of the values of a mapping."""

    kind: type[Any]
    nullable: bool
    values: type[Any] | None = None


def record_fields(record: type[Any]) -> dict[str, Field]:
    """Return the columns of a record class by name; a `PruningConfig` becomes seven. Scores are stored packed."""
    hints = get_type_hints(record)
    columns: dict[str, Field] = {}
    for name in (field.name for field in fields(record)):
        kind, optional = hints[name], False
        if kind is PruningConfig:
            columns |= {part: Field(field.kind, False) for part, field in record_fields(PruningConfig).items()}
            continue
        if NoneType in get_args(kind):
            (kind,), optional = [part for part in get_args(kind) if part is not NoneType], True
        values = get_args(kind)[1] if get_origin(kind) is dict else None
        kind = str if get_origin(kind) is Literal else get_origin(kind) or kind
        if name != "scores":
            columns[name] = Field(kind, optional or kind is float, values)
    return columns


_metadata = MetaData()


def _columns(record: type) -> list[Column[Any]]:
    return [
        Column(name, _TYPES[kind], nullable=nullable) for name, (kind, nullable, _) in record_fields(record).items()
    ]


def _study_id(*, primary_key: bool = False) -> Column[int]:
    return Column("study_id", ForeignKey("himap_studies.id"), primary_key=primary_key, nullable=False)


def _table(name: str, *parts: Any) -> Table:
    return Table(f"himap_{name}", _metadata, *parts)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


SCHEMA = _table(
    "schema", Column("version", Integer, primary_key=True, autoincrement=False), Column("applied_at", UtcTime)
)
STUDIES = _table(
    "studies",
    _id(),
    *_columns(StudyKey),
    Column("family", types.String, nullable=False),
    Column("layers", Integer, nullable=False),
    Column("weights", types.String, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("revision", types.BigInteger, nullable=False),  # drawn with each write: readers see whether to read again
    UniqueConstraint(*record_fields(StudyKey)),
)
QUESTIONS = _table("questions", _study_id(primary_key=True), *_columns(QuestionSource))
TRIALS = _table("trials", _id(), _study_id(), *_columns(Trial), UniqueConstraint("study_id", "number"))
SCORES = _table(  # apart from the trials, so that reading these stays light
    "scores",
    Column("trial_id", ForeignKey("himap_trials.id"), primary_key=True),
    Column("packed", types.LargeBinary, nullable=False),
)
LEASES = _table("leases", _study_id(primary_key=True), *_columns(Lease))
RUNNING = _table("running", _study_id(), *_columns(RunningTrial), UniqueConstraint("study_id", "number"))
SAME_CONFIRMATION = (*record_fields(PruningConfig), "split", "n_questions")
CONFIRMATIONS = _table(
    "confirmations",
    _id(),
    _study_id(),
    *_columns(Confirmation),
    Column("packed", types.LargeBinary, nullable=False),
    UniqueConstraint("study_id", *SAME_CONFIRMATION),
)
ANSWERS = _table(  # pieces of answers that were given after the search, see storage/ledger.py
    "answers",
    _id(),
    _study_id(),
    Column("number", Integer, nullable=False),
    Column("split", types.String, nullable=False),
    Column("start", Integer, nullable=False),
    Column("packed", types.LargeBinary, nullable=False),
    Column("digest", types.String, nullable=False),
    Column("commit", types.String, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("study_id", "number", "split", "start"),
)
PLANS = _table(
    "plans",
    _id(),
    _study_id(),
    Column("weights_digest", types.String, nullable=False),
    Column("questions", types.String, nullable=False),
    Column("pool_digest", types.String, nullable=False),
    Column("start", Integer, nullable=False),
    Column("pool", Integer, nullable=False),
    Column("level", types.Double, nullable=False),
    Column("asked_level", types.Double, nullable=False),
    Column("document", types.Text, nullable=False),
    Column("digest", types.String, nullable=False),
    Column("commit", types.String, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)
JOBS = _table("jobs", _id(), *(column for column in _columns(JobRecord) if column.name != "id"))
JOB_LOGS = _table(  # apart from the jobs, so that reading these stays light
    "job_logs",
    Column("job_id", ForeignKey("himap_jobs.id"), primary_key=True),
    Column("text", types.Text, nullable=False),
)


MIGRATIONS: dict[int, Callable[[Connection], None]] = {}  # version -> from the one before


def stored_version(connection: Connection) -> int:
    """Return the schema version of the store, 0 when it has none of our tables."""
    if not inspect(connection).has_table(SCHEMA.name):
        return 0
    return connection.scalar(select(func.max(SCHEMA.c.version))) or 0


def upgrade(connection: Connection, version: int) -> None:
    """Bring a store from `version` (0: nothing there) to `CURRENT`, inside the caller's transaction."""
    if version == 0:
        _metadata.create_all(connection)
        steps = [CURRENT]
    else:
        steps = list(range(version + 1, CURRENT + 1))
        for step in steps:
            MIGRATIONS[step](connection)
    for step in steps:
        connection.execute(insert(SCHEMA).values(version=step, applied_at=utc_now()))
