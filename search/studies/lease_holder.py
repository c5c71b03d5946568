"""The leases of a search: taken, renewed in the background, released at the end."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from search.errors import StudyLockedError
from storage import Lease, LeaseLostError, StorageError, Store, StudyKey
from storage.records import utc_now

EXPIRES = 60.0  # seconds without a renewal after which another process may take over a study
RENEWED = 10.0


class LeaseHolder:
    """Holds the leases of one process; a context manager that releases them at the end.

    A thread renews them, however long trials take. The lease of a process that has ended on this machine is taken
    over at once, any other when it has expired.
    """

    def __init__(self, store: Store, expires: float = EXPIRES, renewed: float = RENEWED) -> None:
        self._store, self._expires, self._interval = store, expires, renewed
        self.owner = uuid.uuid4().hex
        self._studies: list[int] = []
        self._lost: LeaseLostError | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)

    def take(self, study_id: int, key: StudyKey) -> None:
        """Take the study's lease.

        Raises:
            StudyLockedError: another process holds it.
        """
        wanted = Lease(self.owner, socket.gethostname(), os.getpid(), process_identity(os.getpid()))
        held = self._store.lease(study_id)
        dead = held.owner if held is not None and has_ended(held) else ""
        lease = self._store.take(study_id, wanted, self._expires, dead)
        if lease.owner != self.owner:
            raise StudyLockedError(_refusal(key, lease))
        self._studies.append(study_id)

    def check(self) -> None:
        """Raise LeaseLostError once a lease is known to be another process's."""
        if self._lost is not None:
            raise self._lost

    def __enter__(self) -> LeaseHolder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        with suppress(StorageError):  # then they expire by themselves
            self._store.release(self.owner)

    def _renew(self) -> None:
        while not self._closed.wait(self._interval):
            try:
                for study_id in tuple(self._studies):
                    self._store.renew(study_id, self.owner, self._expires)
            except LeaseLostError as error:
                self._lost = error
                return
            except StorageError:
                continue  # the next write meets it, too


def process_identity(pid: int) -> str:
    """Return what tells a process from all others of this machine: boot, process namespace, start in clock ticks.

    Empty where there is no /proc; without the third part where the process has ended.
    """
    proc = Path("/proc")
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return f"{boot} {namespace}"
    started = fields[19] if fields[0] not in "ZX" else ""
    return f"{boot} {namespace} {started}".strip()


def has_ended(lease: Lease) -> bool:
    """Return whether the lease's process ended on this machine; False where that cannot be told."""
    machine, _, started = lease.birth.rpartition(" ")
    here = process_identity(lease.pid)
    return bool(started) and here.startswith(machine) and here != lease.birth


def _refusal(key: StudyKey, lease: Lease) -> str:
    def at(moment: datetime) -> str:
        return moment.strftime("%Y-%m-%d %H:%M:%S UTC")

    left = max(0.0, (lease.expires_at - utc_now()).total_seconds())
    return (
        f"study {key.name} is searched by process {lease.pid} on {lease.host} since {at(lease.taken_at)} "
        f"(last sign of life {at(lease.renewed_at)}); wait for it or stop it there, or choose another "
        f"--storage or --seed; if it has died, the same command resumes in {left:.0f} s"
    )
