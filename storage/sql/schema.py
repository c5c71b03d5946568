"""The tables, and how an older store becomes a current one.

A new store is created from the mapping and marked with `CURRENT`. A store of an older version runs the
numbered functions of `MIGRATIONS` above its version, all in one transaction. To change a table: change the
mapping, add `MIGRATIONS[CURRENT + 1]`, raise `CURRENT`. Table names carry a prefix, since Optuna, which may
share the database, also calls its tables studies and trials.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    MetaData,
    Table,
    UniqueConstraint,
    func,
    insert,
    inspect,
    select,
    text,
    types,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.records import utc_now

CURRENT = 5


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


class Base(DeclarativeBase):
    """Root of the mapping."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcTime, float: types.Double, dict[str, Any]: JSON}


class SchemaRow(Base):
    """One line for each version that this store was brought to."""

    __tablename__ = "himap_schema"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    applied_at: Mapped[datetime]


class StudyRow(Base):
    """One study. `revision` grows with each write, so that readers see cheaply whether to read again."""

    __tablename__ = "himap_studies"
    __table_args__ = (
        UniqueConstraint("model", "weights_digest", "benchmark", "split", "n_questions", "seed", "space"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    weights_digest: Mapped[str]
    benchmark: Mapped[str]
    split: Mapped[str]
    n_questions: Mapped[int]
    seed: Mapped[int] = mapped_column(types.BigInteger)
    space: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(types.BigInteger, default=0)


class QuestionsRow(Base):
    """Where a study's questions come from; `skipped` is a list of [line, reason]. Older studies have none."""

    __tablename__ = "himap_questions"

    study_id: Mapped[int] = mapped_column(ForeignKey("himap_studies.id"), primary_key=True)
    origin: Mapped[str]
    options: Mapped[str]
    skipped: Mapped[list[Any]] = mapped_column(JSON)


class TrialRow(Base):
    """One trial. NULL in a number means that it was not measured (NaN)."""

    __tablename__ = "himap_trials"
    __table_args__ = (UniqueConstraint("study_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("himap_studies.id"))
    number: Mapped[int]
    state: Mapped[str]
    origin: Mapped[str]
    k1: Mapped[int]
    r1: Mapped[float]
    k2: Mapped[int]
    r2: Mapped[float]
    phi_shallow: Mapped[str]
    phi_deep: Mapped[str]
    seed: Mapped[int] = mapped_column(types.BigInteger)
    image_tokens: Mapped[float | None]
    tokens_after_k1: Mapped[float | None]
    tokens_after_k2: Mapped[float | None]
    text_tokens: Mapped[float | None]
    paper_flops: Mapped[float | None]
    flops: Mapped[float | None]
    flops_ratio: Mapped[float | None]
    accuracy: Mapped[float | None]
    accuracy_low: Mapped[float | None]
    accuracy_high: Mapped[float | None]
    n: Mapped[int]
    latency_ms: Mapped[float | None]
    latency_low_ms: Mapped[float | None]
    latency_high_ms: Mapped[float | None]
    device: Mapped[str]
    seconds: Mapped[float | None]
    commit: Mapped[str]
    reason: Mapped[str]
    source: Mapped[str]
    created_at: Mapped[datetime]
    versions: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]


class ScoresRow(Base):
    """The per-question scores of a trial, packed; in their own table, so that reading trials stays light."""

    __tablename__ = "himap_scores"

    trial_id: Mapped[int] = mapped_column(ForeignKey("himap_trials.id"), primary_key=True)
    packed: Mapped[bytes]


class LeaseRow(Base):
    """Which process searches a study, and until when that holds without a sign of life from it."""

    __tablename__ = "himap_leases"

    study_id: Mapped[int] = mapped_column(ForeignKey("himap_studies.id"), primary_key=True)
    owner: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    birth: Mapped[str]
    taken_at: Mapped[datetime]
    renewed_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class RunningRow(Base):
    """A trial that was handed out and is not stored yet."""

    __tablename__ = "himap_running"

    study_id: Mapped[int] = mapped_column(ForeignKey("himap_studies.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    origin: Mapped[str]
    k1: Mapped[int]
    r1: Mapped[float]
    k2: Mapped[int]
    r2: Mapped[float]
    phi_shallow: Mapped[str]
    phi_deep: Mapped[str]
    seed: Mapped[int] = mapped_column(types.BigInteger)
    source: Mapped[str]
    attempts: Mapped[int]
    begun_at: Mapped[datetime]


class ConfirmationRow(Base):
    """A configuration of a study on held-out questions, with its packed per-question scores."""

    __tablename__ = "himap_confirmations"
    __table_args__ = (
        UniqueConstraint("study_id", "k1", "r1", "k2", "r2", "phi_shallow", "phi_deep", "seed", "split", "n_questions"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("himap_studies.id"))
    trial: Mapped[int | None]
    k1: Mapped[int]
    r1: Mapped[float]
    k2: Mapped[int]
    r2: Mapped[float]
    phi_shallow: Mapped[str]
    phi_deep: Mapped[str]
    seed: Mapped[int] = mapped_column(types.BigInteger)
    split: Mapped[str]
    n_questions: Mapped[int]
    n: Mapped[int]
    accuracy: Mapped[float | None]
    accuracy_low: Mapped[float | None]
    accuracy_high: Mapped[float | None]
    dense_accuracy: Mapped[float | None]
    difference: Mapped[float | None]
    difference_low: Mapped[float | None]
    difference_high: Mapped[float | None]
    image_tokens: Mapped[float | None]
    tokens_after_k1: Mapped[float | None]
    tokens_after_k2: Mapped[float | None]
    text_tokens: Mapped[float | None]
    paper_flops: Mapped[float | None]
    flops: Mapped[float | None]
    flops_ratio: Mapped[float | None]
    latency_ms: Mapped[float | None]
    latency_low_ms: Mapped[float | None]
    latency_high_ms: Mapped[float | None]
    dense_latency_ms: Mapped[float | None]
    seconds: Mapped[float | None]
    family: Mapped[str]
    layers: Mapped[int]
    device: Mapped[str]
    commit: Mapped[str]
    created_at: Mapped[datetime]
    versions: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    packed: Mapped[bytes]


def _add_source(connection: Connection) -> None:
    """2: a trial names the trial that it was taken from, and may be stopped."""
    connection.execute(text("ALTER TABLE himap_trials ADD COLUMN source VARCHAR NOT NULL DEFAULT ''"))


def _add_confirmations(connection: Connection) -> None:
    """3: configurations measured again on held-out questions; the table as it was at that version."""
    texts = ("phi_shallow", "phi_deep", "split", "family", "device", "commit")
    numbers = (
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "dense_accuracy",
        "difference",
        "difference_low",
        "difference_high",
        "image_tokens",
        "tokens_after_k1",
        "tokens_after_k2",
        "text_tokens",
        "paper_flops",
        "flops",
        "flops_ratio",
        "latency_ms",
        "latency_low_ms",
        "latency_high_ms",
        "dense_latency_ms",
        "seconds",
    )
    tables = MetaData()
    Table("himap_studies", tables, Column("id", types.Integer, primary_key=True))
    made = Table(
        "himap_confirmations",
        tables,
        Column("id", types.Integer, primary_key=True),
        Column("study_id", types.Integer, ForeignKey("himap_studies.id"), nullable=False),
        Column("trial", types.Integer),
        *(Column(name, types.Integer, nullable=False) for name in ("k1", "k2", "n_questions", "n", "layers")),
        *(Column(name, types.Double, nullable=False) for name in ("r1", "r2")),
        Column("seed", types.BigInteger, nullable=False),
        *(Column(name, types.String, nullable=False) for name in texts),
        *(Column(name, types.Double) for name in numbers),
        Column("created_at", DateTime(timezone=True), nullable=False),
        *(Column(name, JSON, nullable=False) for name in ("versions", "metrics")),
        Column("packed", types.LargeBinary, nullable=False),
        UniqueConstraint("study_id", "k1", "r1", "k2", "r2", "phi_shallow", "phi_deep", "seed", "split", "n_questions"),
    )
    made.create(connection)


def _add_questions(connection: Connection) -> None:
    """4: where a study's questions come from; the table as it was at that version."""
    tables = MetaData()
    Table("himap_studies", tables, Column("id", types.Integer, primary_key=True))
    made = Table(
        "himap_questions",
        tables,
        Column("study_id", types.Integer, ForeignKey("himap_studies.id"), primary_key=True),
        *(Column(name, types.String, nullable=False) for name in ("origin", "options")),
        Column("skipped", JSON, nullable=False),
    )
    made.create(connection)


def _add_leases(connection: Connection) -> None:
    """5: who searches a study, and the trials it has begun; the tables as they were at that version."""
    tables = MetaData()
    Table("himap_studies", tables, Column("id", types.Integer, primary_key=True))
    moments = ("taken_at", "renewed_at", "expires_at")
    Table(
        "himap_leases",
        tables,
        Column("study_id", types.Integer, ForeignKey("himap_studies.id"), primary_key=True),
        *(Column(name, types.String, nullable=False) for name in ("owner", "host", "birth")),
        Column("pid", types.Integer, nullable=False),
        *(Column(name, DateTime(timezone=True), nullable=False) for name in moments),
    ).create(connection)
    Table(
        "himap_running",
        tables,
        Column("study_id", types.Integer, ForeignKey("himap_studies.id"), primary_key=True),
        Column("number", types.Integer, primary_key=True, autoincrement=False),
        *(Column(name, types.Integer, nullable=False) for name in ("k1", "k2", "attempts")),
        *(Column(name, types.Double, nullable=False) for name in ("r1", "r2")),
        Column("seed", types.BigInteger, nullable=False),
        *(Column(name, types.String, nullable=False) for name in ("origin", "phi_shallow", "phi_deep", "source")),
        Column("begun_at", DateTime(timezone=True), nullable=False),
    ).create(connection)


# version -> from the one before; 1 is the first
MIGRATIONS: dict[int, Callable[[Connection], None]] = {
    2: _add_source,
    3: _add_confirmations,
    4: _add_questions,
    5: _add_leases,
}


def stored_version(connection: Connection) -> int:
    """The schema version of the store, 0 when it has none of our tables."""
    if not inspect(connection).has_table(SchemaRow.__tablename__):
        return 0
    return connection.scalar(select(func.max(SchemaRow.version))) or 0


def upgrade(connection: Connection, version: int) -> None:
    """Bring a store from `version` (0: nothing there) to `CURRENT`, inside the caller's transaction."""
    if version == 0:
        Base.metadata.create_all(connection)
        steps = [CURRENT]
    else:
        steps = list(range(version + 1, CURRENT + 1))
        for step in steps:
            MIGRATIONS[step](connection)
    for step in steps:
        connection.execute(insert(SchemaRow).values(version=step, applied_at=utc_now()))
