"""The queue of jobs: submitted, taken by one runner at a time, ended, cancelled and resumed.

Each change is one transaction that says which state it expects, so that a job is never taken twice and a runner that
lost its lease changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Select, and_, delete, insert, or_, select, update

from storage.errors import LeaseLostError, StorageError
from storage.records import JobRecord, JobState, Lease
from storage.sql.connection import transaction
from storage.sql.leases import now
from storage.sql.rows import read_record, row_values
from storage.sql.schema import JOB_LOGS, JOBS
from storage.store import Store

_NOBODY = {"owner": "", "host": "", "pid": 0, "birth": "", "expires_at": None, "process_pid": 0, "process_birth": ""}


class JobQueue:
    """The jobs of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def submit(self, job: JobRecord) -> JobRecord:
        """Commit a new job, and return it with its id."""
        with self._transaction("store a job in", write=True) as connection:
            moment = now(connection)
            job = replace(job, submitted_at=moment, ready_at=moment)
            values = {name: value for name, value in row_values(job, "job").items() if name != "id"}
            return replace(job, id=connection.execute(insert(JOBS).returning(JOBS.c.id), values).scalar_one())

    def jobs(self, *states: JobState) -> list[JobRecord]:
        """Return all jobs, or those in some states, in the order in which they were submitted."""
        query = select(JOBS).order_by(JOBS.c.id)
        if states:
            query = query.where(JOBS.c.state.in_(states))
        with self._transaction("read the jobs of") as connection:
            return [read_record(JobRecord, row) for row in connection.execute(query).mappings()]

    def job(self, job_id: int) -> JobRecord:
        """Return one job; raise StorageError where there is none."""
        with self._transaction(f"read job {job_id} of") as connection:
            return self._job(connection, job_id)

    def take(self, wanted: Lease, seconds: float, dead: Collection[str] = ()) -> JobRecord | None:
        """Take the next job for so many seconds, and return it; None where none waits.

        It is a queued one, or one whose runner's lease has expired or belongs to an owner in `dead`, who is known to be
        gone. Of the latter those that were being cancelled are cancelled.
        """
        with self._transaction("look for jobs in") as connection:  # most looks find nothing, and then lock nothing
            if connection.execute(_next(now(connection), dead)).first() is None:
                return None
        with self._transaction("take a job of", write=True) as connection:
            while True:
                moment = now(connection)
                row = connection.execute(_next(moment, dead).with_for_update(skip_locked=True)).mappings().first()
                if row is None:
                    return None
                job = read_record(JobRecord, row)
                if job.cancelling:
                    _set(connection, job.id, state="cancelled", cancelling=False, ended_at=moment, **_NOBODY)
                    continue
                runner = {name: getattr(wanted, name) for name in ("owner", "host", "pid", "birth")}
                values: dict[str, Any] = {**_NOBODY, **runner, "expires_at": moment + timedelta(seconds=seconds)}
                values |= {"state": "running", "message": "", "starts": job.starts + 1}
                values |= {"started_at": job.started_at or moment, "ended_at": None}
                _set(connection, job.id, **values)
                return replace(job, **values)

    def started(self, job_id: int, owner: str, pid: int, birth: str) -> None:
        """Commit which process carries a job out; raise LeaseLostError where the job is not the owner's."""
        with self._owned(job_id, owner) as connection:
            _set(connection, job_id, process_pid=pid, process_birth=birth)

    def renew(self, job_id: int, owner: str, seconds: float) -> None:
        """Hold a job for more seconds; raise LeaseLostError where it is not the owner's."""
        with self._owned(job_id, owner) as connection:
            _set(connection, job_id, expires_at=now(connection) + timedelta(seconds=seconds))

    def end(self, job_id: int, owner: str, state: Literal["finished", "failed", "cancelled"], message: str) -> None:
        """Commit how a job ended; raise LeaseLostError where it is not the owner's."""
        with self._owned(job_id, owner) as connection:
            moment = now(connection)
            _set(connection, job_id, state=state, message=message, cancelling=False, ended_at=moment, **_NOBODY)

    def requeue(self, job_id: int, owner: str, message: str = "", *, crashes: int = 0, delay: float = 0.0) -> None:
        """Put a job back, to be resumed after some seconds; one that is being cancelled ends as cancelled instead.

        Raises:
            LeaseLostError: the job is not the owner's.
        """
        with self._owned(job_id, owner) as connection:
            moment = now(connection)
            values: dict[str, Any] = {"message": message, "crashes": crashes, "cancelling": False, **_NOBODY}
            if self._job(connection, job_id).cancelling:
                _set(connection, job_id, state="cancelled", ended_at=moment, **values)
            else:
                _set(connection, job_id, state="queued", ready_at=moment + timedelta(seconds=delay), **values)

    def cancel(self, job_id: int) -> JobRecord:
        """Cancel a queued job, or ask the runner of a running one to stop it; others stay as they are."""
        with self._transaction(f"cancel job {job_id} of", write=True) as connection:
            moment, here = now(connection), JOBS.c.id == job_id
            queued = update(JOBS).where(here, JOBS.c.state == "queued")
            connection.execute(queued.values(state="cancelled", ended_at=moment, message="cancelled before it ran"))
            connection.execute(update(JOBS).where(here, JOBS.c.state == "running").values(cancelling=True))
            return self._job(connection, job_id)

    def resume(self, job_id: int) -> JobRecord:
        """Queue a cancelled or failed job again; what it measured counts.

        Raises:
            StorageError: there is no such job, or it is in another state.
        """
        with self._transaction(f"resume job {job_id} of", write=True) as connection:
            ended = update(JOBS).where(JOBS.c.id == job_id, JOBS.c.state.in_(("cancelled", "failed")))
            values = {"state": "queued", "message": "", "crashes": 0, "ended_at": None, "ready_at": now(connection)}
            changed = connection.execute(ended.values(**values)).rowcount
            job = self._job(connection, job_id)
            if not changed:
                state = "being cancelled" if job.cancelling else job.state
                raise StorageError(f"job {job_id} is {state}; expected a cancelled or failed one to resume")
            return job

    def write_log(self, job_id: int, owner: str, text: str) -> None:
        """Commit what a job has printed, in place of what was stored; raise LeaseLostError as `renew`."""
        with self._owned(job_id, owner) as connection:
            connection.execute(delete(JOB_LOGS).where(JOB_LOGS.c.job_id == job_id))
            connection.execute(insert(JOB_LOGS), {"job_id": job_id, "text": text.replace("\x00", "\ufffd")})

    def log(self, job_id: int) -> str:
        """Return what a job has printed, the end of it where it is long."""
        with self._transaction(f"read the log of job {job_id} of") as connection:
            self._job(connection, job_id)
            return connection.scalar(select(JOB_LOGS.c.text).where(JOB_LOGS.c.job_id == job_id)) or ""

    def _job(self, connection: Connection, job_id: int) -> JobRecord:
        row = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).mappings().one_or_none()
        if row is None:
            raise StorageError(f"{self._store.location} has no job {job_id}; python -m search.jobs lists them")
        return read_record(JobRecord, row)

    @contextmanager
    def _transaction(self, doing: str, *, write: bool = False) -> Iterator[Connection]:
        with self._store.translated(doing), transaction(self._store.engine, write=write) as connection:
            yield connection

    @contextmanager
    def _owned(self, job_id: int, owner: str) -> Iterator[Connection]:
        """A transaction that holds the job's row; raise LeaseLostError where a runner lost it."""
        with self._transaction(f"write job {job_id} of", write=True) as connection:
            query = select(JOBS.c.id).where(JOBS.c.id == job_id, JOBS.c.owner == owner).with_for_update()
            if connection.scalar(query) is None:
                raise LeaseLostError(
                    f"job {job_id} was taken over by another runner; nothing more of it is stored here"
                )
            yield connection


def _next(moment: datetime, dead: Collection[str]) -> Select[Any]:
    """Return the query of the job to take next: one that a runner left behind before one that is new."""
    queued = and_(JOBS.c.state == "queued", JOBS.c.ready_at <= moment)
    left = and_(JOBS.c.state == "running", or_(JOBS.c.expires_at <= moment, JOBS.c.owner.in_(list(dead))))
    first = (JOBS.c.priority.desc(), JOBS.c.state.desc(), JOBS.c.id)  # "running" sorts behind "queued"
    return select(JOBS).where(or_(queued, left)).order_by(*first).limit(1)


def _set(connection: Connection, job_id: int, **values: Any) -> None:
    connection.execute(update(JOBS).where(JOBS.c.id == job_id).values(**values))
