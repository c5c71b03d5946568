"""The store: open it with `open_store`, then read and write records.

Each write is one transaction, committed before the call returns. Every error is a `StorageError` with one line of
text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from secrets import randbits
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, case, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from storage.confirmation import HELD_OUT, Confirmation
from storage.errors import DuplicateTrialError, StorageError
from storage.records import Latency, Lease, QuestionSource, RunningTrial, StudyKey, StudySummary, Trial, utc_now
from storage.sql import leases
from storage.sql.connection import build_engine, check_version, failure, prepare, transaction
from storage.sql.rows import latency_values, pack_scores, read_record, row_values, unpack_scores
from storage.sql.schema import CONFIRMATIONS, QUESTIONS, SAME_CONFIRMATION, SCHEMA, SCORES, STUDIES, TRIALS


def open_store(url: str, *, readonly: bool = False) -> Store:
    """Open the store at `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`.

    A missing SQLite file or missing tables are created, an older schema is upgraded; several processes may do that at
    once. With `readonly` nothing is ever created or changed.

    Raises:
        StoreMissingError: readonly, and nothing is there.
        SchemaError: written by a newer version, or readonly and older.
        StorageError: bad URL, missing folder, not a SQLite file, unreachable server, locked.
    """
    engine, location = build_engine(url, readonly=readonly)
    store = Store(engine, location)
    try:
        with store.translated("open"):
            prepare(engine, location, readonly=readonly)
    except BaseException:
        engine.dispose()
        raise
    return store


class Store:
    """Studies and their trials. Safe to use from several threads; give each process its own."""

    def __init__(self, engine: Engine, location: str) -> None:
        self.engine = engine
        self.location = location

    def study(self, key: StudyKey, family: str = "", layers: int = 0, weights: str = "") -> int:
        """Return the id of the study with exactly this key, created if it is new.

        Args:
            family: transformers class of the model; "" where unknown.
            layers: depth of its decoder; 0 where unknown.
            weights: what --weights takes for them now; "" where the model's name implies them.
        """
        values = row_values(key, f"study {key.name}")
        same = [STUDIES.c[name] == value for name, value in values.items()]
        query = select(STUDIES.c.id).where(*same)
        with self.translated(f"open study {key.name} in"):
            with transaction(self.engine) as connection:
                study_id = connection.scalar(query)
            if study_id is not None:
                if weights:
                    with transaction(self.engine, write=True) as connection:
                        moved = update(STUDIES).where(*same, STUDIES.c.weights != weights)
                        connection.execute(moved.values(weights=weights, revision=_revision()))
                return study_id
            now = utc_now()
            model = {"family": family, "layers": layers, "weights": weights}
            row = {**values, **model, "created_at": now, "updated_at": now, "revision": _revision()}
            try:
                with transaction(self.engine, write=True) as connection:
                    return connection.execute(insert(STUDIES).returning(STUDIES.c.id), row).scalar_one()
            except IntegrityError:  # another process was first
                with transaction(self.engine) as connection:
                    return connection.scalars(query).one()

    def add(self, study_id: int, trial: Trial, owner: str = "") -> None:
        """Commit one trial, and end its running record; once this returns, no kill of this process can lose it.

        Raises:
            DuplicateTrialError: the study has a trial of this number.
            LeaseLostError: the lease is not the named owner's.
            StorageError: an unknown study.
            RecordError: a value of the wrong type.
        """
        values = row_values(trial, f"trial {trial.number}")
        packed = pack_scores(trial.scores) if trial.scores else None
        with self.translated(f"store trial {trial.number} of study {study_id} in"):
            try:
                with transaction(self.engine, write=True) as connection:
                    self.touch(connection, study_id, owner)
                    leases.end(connection, study_id, trial.number)
                    insertion = insert(TRIALS).returning(TRIALS.c.id)
                    trial_id = connection.scalar(insertion, {"study_id": study_id, **values})
                    if packed is not None:
                        connection.execute(insert(SCORES), {"trial_id": trial_id, "packed": packed})
            except IntegrityError as error:
                if not self._has(study_id, trial.number):
                    raise
                raise DuplicateTrialError(
                    f"study {study_id} in {self.location} already has a trial {trial.number}; "
                    "each number is stored once: give the new trial the next free number"
                ) from error

    def add_all(self, study_id: int, trials: Sequence[Trial]) -> None:
        """Commit many trials in one transaction, all or none; much faster than one by one.

        Raises:
            DuplicateTrialError: the study has one of these numbers; otherwise as `add`.
        """
        rows = [{"study_id": study_id, **row_values(trial, f"trial {trial.number}")} for trial in trials]
        if not rows:
            return
        doing = f"store {len(rows)} trials of study {study_id} in"
        with self.translated(doing):
            try:
                with transaction(self.engine, write=True) as connection:
                    self.touch(connection, study_id)
                    connection.execute(insert(TRIALS), rows)
                    query = select(TRIALS.c.number, TRIALS.c.id).where(TRIALS.c.study_id == study_id)
                    ids = dict(connection.execute(query).all())
                    packed = [
                        {"trial_id": ids[trial.number], "packed": pack_scores(trial.scores)}
                        for trial in trials
                        if trial.scores
                    ]
                    if packed:
                        connection.execute(insert(SCORES), packed)
            except IntegrityError as error:
                raise DuplicateTrialError(
                    f"study {study_id} in {self.location} already has one of these trials; none was stored"
                ) from error

    def set_questions(self, study_id: int, source: QuestionSource) -> None:
        """Commit where the study's questions come from, in place of what was stored.

        Raises:
            StorageError: an unknown study.
        """
        if self.questions(study_id) == source:
            return
        doing = f"store the questions' source of study {study_id} in"
        with self.translated(doing), transaction(self.engine, write=True) as connection:
            self.touch(connection, study_id)
            connection.execute(delete(QUESTIONS).where(QUESTIONS.c.study_id == study_id))
            connection.execute(insert(QUESTIONS), {"study_id": study_id, **row_values(source, "source of questions")})

    def questions(self, study_id: int) -> QuestionSource | None:
        """Return where the study's questions come from; None where that was not recorded."""
        query = select(QUESTIONS).where(QUESTIONS.c.study_id == study_id)
        doing = f"read the questions' source of study {study_id} of"
        with self.translated(doing), transaction(self.engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else read_record(QuestionSource, row)

    def take(self, study_id: int, wanted: Lease, seconds: float, dead: str = "") -> Lease:
        """Take the study's lease, and return the lease in force afterwards: another's if it could not be taken.

        It can be taken if it is free, expired, the owner's own, or held by the owner `dead`, who is known to be gone.
        """
        doing = f"take the lease of study {study_id} in"
        with self.translated(doing), transaction(self.engine, write=True) as connection:
            return leases.take(connection, study_id, wanted, seconds, dead)

    def renew(self, study_id: int, owner: str, seconds: float) -> None:
        """Hold the lease for more seconds; raise LeaseLostError when it is another's by now."""
        doing = f"renew the lease of study {study_id} in"
        with self.translated(doing), transaction(self.engine, write=True) as connection:
            leases.renew(connection, study_id, owner, seconds)

    def release(self, owner: str) -> None:
        """Release all leases of the owner."""
        doing = "release leases in"
        with self.translated(doing), transaction(self.engine, write=True) as connection:
            leases.release(connection, owner)

    def lease(self, study_id: int) -> Lease | None:
        """Return the study's lease, also when it has expired; None if it was released, or never taken."""
        doing = f"read the lease of study {study_id} of"
        with self.translated(doing), transaction(self.engine) as connection:
            return leases.current(connection, study_id)

    def begin(self, study_id: int, running: RunningTrial, owner: str) -> None:
        """Commit that a trial is handed out; `add` ends that. Readers see no new revision.

        Raises:
            LeaseLostError: the lease is not the owner's.
        """
        doing = f"note trial {running.number} of study {study_id} as running in"
        with self.translated(doing), transaction(self.engine, write=True) as connection:
            leases.check(connection, study_id, owner)
            leases.begin(connection, study_id, running)

    def running(self, study_id: int) -> list[RunningTrial]:
        """Return trials that were handed out and are not stored, by number; also those that a dead driver left."""
        doing = f"read the running trials of study {study_id} of"
        with self.translated(doing), transaction(self.engine) as connection:
            return leases.running(connection, study_id)

    def set_latency(self, study_id: int, number: int, latency: Latency, owner: str = "") -> None:
        """Commit the latency of a stored trial; it is measured later than the rest, when the device is idle.

        Raises:
            StorageError: the study has no trial of this number.
            LeaseLostError: as `add`.
        """
        doing = f"store the latency of trial {number} of study {study_id} in"
        with self.translated(doing), transaction(self.engine, write=True) as connection:
            self.touch(connection, study_id, owner)
            chosen = update(TRIALS).where(TRIALS.c.study_id == study_id, TRIALS.c.number == number)
            if connection.execute(chosen.values(**latency_values(latency))).rowcount != 1:
                raise StorageError(f"study {study_id} of {self.location} has no trial {number}")

    def confirm(self, study_id: int, confirmation: Confirmation) -> None:
        """Commit a confirmation, in place of one of the same configuration on the same questions.

        Raises:
            StorageError: an unknown study.
            RecordError: a value of the wrong type.
        """
        values = row_values(confirmation, f"confirmation on {confirmation.split} questions")
        values["packed"] = pack_scores(confirmation.scores)
        same = [CONFIRMATIONS.c[name] == values[name] for name in SAME_CONFIRMATION]
        doing = f"store a confirmation of study {study_id} in"
        with self.translated(doing), transaction(self.engine, write=True) as connection:
            self.touch(connection, study_id)
            connection.execute(delete(CONFIRMATIONS).where(CONFIRMATIONS.c.study_id == study_id, *same))
            connection.execute(insert(CONFIRMATIONS), {"study_id": study_id, **values})

    def confirmations(self, study_id: int, split: str | None = None) -> list[Confirmation]:
        """Return the study's confirmations with their scores, by rising FLOPs.

        Args:
            split: of their questions; None takes all held-out ones.
        """
        column = CONFIRMATIONS.c.split
        query = (
            select(CONFIRMATIONS)
            .where(
                CONFIRMATIONS.c.study_id == study_id, column.startswith(HELD_OUT) if split is None else column == split
            )
            .order_by(CONFIRMATIONS.c.flops, CONFIRMATIONS.c.id)
        )
        doing = f"read the confirmations of study {study_id} of"
        with self.translated(doing), transaction(self.engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [read_record(Confirmation, row, row["packed"]) for row in rows]

    def trials(self, study_id: int, *, scores: bool = True) -> list[Trial]:
        """Return all trials of a study by rising number; without `scores` much faster, their `scores` then empty."""
        query = select(TRIALS).where(TRIALS.c.study_id == study_id).order_by(TRIALS.c.number)
        if scores:
            query = query.add_columns(SCORES.c.packed)
            query = query.outerjoin(SCORES, SCORES.c.trial_id == TRIALS.c.id)
        with self.translated(f"read study {study_id} of"), transaction(self.engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [
            read_record(Trial, row, row["packed"] if scores and row["packed"] is not None else None) for row in rows
        ]

    def scores(self, study_id: int, numbers: Iterable[int]) -> dict[int, tuple[float, ...]]:
        """Return the per-question scores of some trials of a study, by number; those without any are left out."""
        query = (
            select(TRIALS.c.number, SCORES.c.packed)
            .join(SCORES, SCORES.c.trial_id == TRIALS.c.id)
            .where(TRIALS.c.study_id == study_id, TRIALS.c.number.in_(list(numbers)))
        )
        with self.translated(f"read scores of study {study_id} of"), transaction(self.engine) as connection:
            rows = connection.execute(query).all()
        return {number: unpack_scores(packed) for number, packed in rows}

    def studies(self) -> list[StudySummary]:
        """Return all studies, by model, benchmark and then age."""
        counts = (
            select(
                TRIALS.c.study_id,
                func.count().label("trials"),
                func.sum(case((TRIALS.c.state == "failed", 1), else_=0)).label("failed"),
                func.sum(case((TRIALS.c.state == "pruned", 1), else_=0)).label("pruned"),
            )
            .group_by(TRIALS.c.study_id)
            .subquery()
        )
        query = (
            select(STUDIES, counts.c.trials, counts.c.failed, counts.c.pruned)
            .outerjoin(counts, counts.c.study_id == STUDIES.c.id)
            .order_by(STUDIES.c.model, STUDIES.c.benchmark, STUDIES.c.id)
        )
        with self.translated("read the studies of"), transaction(self.engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [
            StudySummary(
                id=row["id"],
                key=read_record(StudyKey, row),
                trials=row["trials"] or 0,
                failed=int(row["failed"] or 0),
                pruned=int(row["pruned"] or 0),
                created_at=row["created_at"],
                updated_at=row["updated_at"],
                family=row["family"],
                layers=row["layers"],
                weights=row["weights"],
            )
            for row in rows
        ]

    def version_stamp(self, study_id: int | None = None) -> str:
        """Return a short text that changes whenever the store (or that study) changed; reads one row per study.

        No two states of any stores share it, so that it also tells a store that was deleted, remade or restored.

        Raises:
            SchemaError: the store was replaced by one of another schema.
        """
        version = select(func.max(SCHEMA.c.version)).scalar_subquery()
        query = select(version, func.count(), func.coalesce(func.sum(STUDIES.c.revision), 0))
        if study_id is not None:
            query = query.where(STUDIES.c.id == study_id)
        with self.translated("read the version of"), transaction(self.engine) as connection:
            schema, count, revision = connection.execute(query).one()
        check_version(schema or 0, self.location, readonly=True)
        return f"{count}.{revision}"

    def close(self) -> None:
        """Close all connections. Using the store afterwards opens new ones."""
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def touch(self, connection: Connection, study_id: int, owner: str = "") -> None:
        """Count a change of a study inside the caller's transaction; raise LeaseLostError unless it is the owner's."""
        changed = connection.execute(
            update(STUDIES).where(STUDIES.c.id == study_id).values(revision=_revision(), updated_at=utc_now())
        )
        if changed.rowcount != 1:
            raise StorageError(f"{self.location} has no study {study_id}; get its id from Store.study(key)")
        if owner:
            leases.check(connection, study_id, owner)

    def _has(self, study_id: int, number: int) -> bool:
        query = select(TRIALS.c.id).where(TRIALS.c.study_id == study_id, TRIALS.c.number == number)
        with transaction(self.engine) as connection:
            return connection.scalar(query) is not None

    @contextmanager
    def translated(self, doing: str) -> Iterator[Any]:
        """Raise the database's errors as StorageErrors with one line: "cannot DOING sqlite:///..."."""
        try:
            yield
        except SQLAlchemyError as error:
            raise failure(self.location, doing, error) from error


def _revision() -> int:
    """Return a number that no other state of a study has; the sum over all studies still fits into a column."""
    return randbits(48)
