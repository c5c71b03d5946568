"""One launch at a time on a study: takes leases, renews them in the background, gives them back."""

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

EXPIRES = 60.0  # seconds without a sign of life after which others may go on with a study
RENEWED = 10.0


class LeaseHolder:
    """The leases of this process, as a context manager that gives them back at the end.

    A lease is renewed by a thread of its own, however long trials take. One whose process is gone from this
    machine is taken over at once, any other when it has expired.
    """

    def __init__(self, store: Store, expires: float = EXPIRES, renewed: float = RENEWED) -> None:
        self._store, self._expires, self._every = store, expires, renewed
        self.owner = uuid.uuid4().hex
        self._studies: list[int] = []
        self._lost: LeaseLostError | None = None
        self._over = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="leases", daemon=True)

    def take(self, study_id: int, key: StudyKey) -> None:
        """Takes the study's lease.

        Raises:
            StudyLockedError: another process holds it.
        """
        wanted = Lease(self.owner, socket.gethostname(), os.getpid(), birth(os.getpid()))
        held = self._store.lease(study_id)
        dead = held.owner if held is not None and gone(held) else ""
        lease = self._store.take(study_id, wanted, self._expires, dead)
        if lease.owner != self.owner:
            raise StudyLockedError(_refusal(key, lease))
        self._studies.append(study_id)

    def check(self) -> None:
        """Raises LeaseLostError once a lease is known to be another's."""
        if self._lost is not None:
            raise self._lost

    def __enter__(self) -> LeaseHolder:
        self._renewing.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._renewing.join()
        with suppress(StorageError):  # then they expire by themselves
            self._store.release(self.owner)

    def _renew(self) -> None:
        while not self._over.wait(self._every):
            try:
                for study_id in tuple(self._studies):
                    self._store.renew(study_id, self.owner, self._expires)
            except LeaseLostError as error:
                self._lost = error
                return
            except StorageError:
                continue  # the driver hears of it when it writes


def birth(pid: int) -> str:
    """What tells this process from all others of this machine: boot, process namespace, start in clock ticks.

    Empty where there is no /proc; without a third part where the process is gone.
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


def gone(lease: Lease) -> bool:
    """Whether the lease's process ended on this machine; False where that cannot be told."""
    machine, _, started = lease.birth.rpartition(" ")
    here = birth(lease.pid)
    return bool(started) and here.startswith(machine) and here != lease.birth


def _refusal(key: StudyKey, lease: Lease) -> str:
    def at(moment: datetime) -> str:
        return moment.strftime("%Y-%m-%d %H:%M:%S UTC")

    left = max(0.0, (lease.expires_at - utc_now()).total_seconds())
    return (
        f"study {key.name} is searched by process {lease.pid} on {lease.host} since {at(lease.taken_at)} "
        f"(last sign of life {at(lease.renewed_at)}); wait for it or stop it there, or choose another "
        f"--storage or --seed; if it is dead, the same command goes on in {left:.0f} s"
    )
