"""SQL of leases and of running trials; each function works inside the caller's transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from storage.errors import LeaseLostError, StorageError
from storage.records import Lease, RunningTrial, utc_now
from storage.sql.rows import read_record, row_values
from storage.sql.schema import LEASES, RUNNING, STUDIES


def now(connection: Connection) -> datetime:
    """Return the time by the store's clock: the server's, where there is one, so that hosts need not agree."""
    if connection.dialect.name == "postgresql":
        return connection.execute(select(func.clock_timestamp())).scalar_one()
    return utc_now()


def take(connection: Connection, study_id: int, wanted: Lease, seconds: float, dead: str) -> Lease:
    """Take a lease that is free, expired, one's own or the owner's `dead`; return the lease in force afterwards."""
    query = select(STUDIES.c.id).where(STUDIES.c.id == study_id).with_for_update()  # one taker at a time
    if connection.scalar(query) is None:
        raise StorageError(f"there is no study {study_id}; get its id from Store.study(key)")
    moment, held = now(connection), current(connection, study_id)
    until = moment + timedelta(seconds=seconds)
    renewed = replace(wanted, taken_at=moment, renewed_at=moment, expires_at=until)
    values = row_values(renewed, "lease")
    if held is None:
        connection.execute(insert(LEASES), {"study_id": study_id, **values})
        return renewed
    if held.owner not in (wanted.owner, dead) and held.expires_at > moment:
        return held
    chosen = update(LEASES).where(LEASES.c.study_id == study_id, LEASES.c.renewed_at == held.renewed_at)
    if connection.execute(chosen.values(**values)).rowcount == 1:
        return renewed
    return current(connection, study_id) or held  # it was renewed meanwhile


def renew(connection: Connection, study_id: int, owner: str, seconds: float) -> None:
    """Hold the lease for more seconds; raise LeaseLostError if it is not the owner's any more."""
    moment = now(connection)
    chosen = update(LEASES).where(LEASES.c.study_id == study_id, LEASES.c.owner == owner)
    values = {"renewed_at": moment, "expires_at": moment + timedelta(seconds=seconds)}
    if connection.execute(chosen.values(**values)).rowcount != 1:
        raise LeaseLostError(_lost(study_id, current(connection, study_id)))


def check(connection: Connection, study_id: int, owner: str) -> None:
    """Raise LeaseLostError if the lease is not the owner's; the caller holds the study's row."""
    held = current(connection, study_id)
    if held is None or held.owner != owner:
        raise LeaseLostError(_lost(study_id, held))


def current(connection: Connection, study_id: int) -> Lease | None:
    """Return the lease of a study, expired or not."""
    row = connection.execute(select(LEASES).where(LEASES.c.study_id == study_id)).mappings().one_or_none()
    return None if row is None else read_record(Lease, row)


def release(connection: Connection, owner: str) -> None:
    """Delete all leases of the owner; its running trials stay for the next one."""
    connection.execute(delete(LEASES).where(LEASES.c.owner == owner))


def begin(connection: Connection, study_id: int, running: RunningTrial) -> None:
    """Record that a trial is handed out, for the first time or again."""
    end(connection, study_id, running.number)
    values = row_values(running, f"running trial {running.number}")
    connection.execute(insert(RUNNING), {"study_id": study_id, **values})


def end(connection: Connection, study_id: int, number: int) -> None:
    """Record that a trial runs no more."""
    connection.execute(delete(RUNNING).where(RUNNING.c.study_id == study_id, RUNNING.c.number == number))


def running(connection: Connection, study_id: int) -> list[RunningTrial]:
    """Return the trials that were handed out and are not stored, by number."""
    query = select(RUNNING).where(RUNNING.c.study_id == study_id).order_by(RUNNING.c.number)
    return [read_record(RunningTrial, row) for row in connection.execute(query).mappings()]


def _lost(study_id: int, held: Lease | None) -> str:
    by = "released" if held is None else f"taken over by process {held.pid} on {held.host}"
    return (
        f"study {study_id} was {by}, since this run gave no sign of life for too long; "
        "nothing more of it is stored here, what was stored before counts"
    )
