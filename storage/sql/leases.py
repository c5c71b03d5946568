"""SQL of leases and of running trials; each function works inside the caller's transaction."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from storage.errors import LeaseLostError, StorageError
from storage.records import Lease, RunningTrial, utc_now
from storage.sql.schema import LeaseRow, RunningRow, StudyRow

_LEASE = tuple(field.name for field in fields(Lease))
_RUNNING = tuple(field.name for field in fields(RunningTrial))


def now(connection: Connection) -> datetime:
    """The store's clock: the server's, where there is one, so that hosts need not agree on the time."""
    if connection.dialect.name == "postgresql":
        return connection.execute(select(func.clock_timestamp())).scalar_one()
    return utc_now()


def take(connection: Connection, study_id: int, wanted: Lease, seconds: float, dead: str) -> Lease:
    """Takes a lease that is free, expired, one's own or the owner's `dead`; the lease in force afterwards."""
    query = select(StudyRow.id).where(StudyRow.id == study_id).with_for_update()  # one taker at a time
    if connection.scalar(query) is None:
        raise StorageError(f"there is no study {study_id}; get its id from Store.study(key)")
    moment, held = now(connection), current(connection, study_id)
    until = moment + timedelta(seconds=seconds)
    taken = replace(wanted, taken_at=moment, renewed_at=moment, expires_at=until)
    values = {name: getattr(taken, name) for name in _LEASE}
    if held is None:
        connection.execute(insert(LeaseRow), {"study_id": study_id, **values})
        return taken
    if held.owner not in (wanted.owner, dead) and held.expires_at > moment:
        return held
    chosen = update(LeaseRow).where(LeaseRow.study_id == study_id, LeaseRow.renewed_at == held.renewed_at)
    if connection.execute(chosen.values(**values)).rowcount == 1:
        return taken
    return current(connection, study_id) or held  # it was renewed meanwhile


def renew(connection: Connection, study_id: int, owner: str, seconds: float) -> None:
    """Raises LeaseLostError if the lease is not the owner's any more."""
    moment = now(connection)
    chosen = update(LeaseRow).where(LeaseRow.study_id == study_id, LeaseRow.owner == owner)
    values = {"renewed_at": moment, "expires_at": moment + timedelta(seconds=seconds)}
    if connection.execute(chosen.values(**values)).rowcount != 1:
        raise LeaseLostError(_lost(study_id, current(connection, study_id)))


def check(connection: Connection, study_id: int, owner: str) -> None:
    """Raises LeaseLostError if the lease is not the owner's; the caller holds the study's row."""
    held = current(connection, study_id)
    if held is None or held.owner != owner:
        raise LeaseLostError(_lost(study_id, held))


def current(connection: Connection, study_id: int) -> Lease | None:
    """The lease of a study, expired or not."""
    columns = [getattr(LeaseRow, name) for name in _LEASE]
    row = connection.execute(select(*columns).where(LeaseRow.study_id == study_id)).mappings().one_or_none()
    return Lease(**row) if row is not None else None


def release(connection: Connection, owner: str) -> None:
    """Gives all leases of the owner back; what it had begun stays for who comes next."""
    connection.execute(delete(LeaseRow).where(LeaseRow.owner == owner))


def begin(connection: Connection, study_id: int, running: RunningTrial) -> None:
    """Notes that a trial is handed out, for the first time or again."""
    end(connection, study_id, running.number)
    values = {name: getattr(running, name) for name in _RUNNING}
    connection.execute(insert(RunningRow), {"study_id": study_id, **values})


def end(connection: Connection, study_id: int, number: int) -> None:
    """The trial runs no more."""
    connection.execute(delete(RunningRow).where(RunningRow.study_id == study_id, RunningRow.number == number))


def running(connection: Connection, study_id: int) -> list[RunningTrial]:
    """The trials that were begun and are not stored, by number."""
    columns = [getattr(RunningRow, name) for name in _RUNNING]
    query = select(*columns).where(RunningRow.study_id == study_id).order_by(RunningRow.number)
    return [RunningTrial(**row) for row in connection.execute(query).mappings()]


def _lost(study_id: int, held: Lease | None) -> str:
    by = "given up" if held is None else f"taken over by process {held.pid} on {held.host}"
    return (
        f"study {study_id} was {by}, since this run gave no sign of life for too long; "
        "nothing more of it is stored here, what was stored before counts"
    )
