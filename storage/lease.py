"""Who searches a study at present, and which of its trials were begun. No SQL here.

A study has one lease at most. Its owner renews it; once it has expired anybody may take it, and then nothing
that the former owner still writes is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from storage.records import Origin, utc_now


@dataclass(frozen=True)
class Lease:
    """`owner` is a random id; `pid`, `host` and `birth` say which process that is.

    `birth` is the same for no two processes of one machine, not even after a reboot; empty where that cannot
    be told. Moments are by the store's clock.
    """

    owner: str
    host: str
    pid: int
    birth: str
    taken_at: datetime = field(default_factory=utc_now)
    renewed_at: datetime = field(default_factory=utc_now)
    expires_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True)
class RunningTrial:
    """A trial that was handed to a worker and is not stored yet; `attempts` counts the workers it was lost
    with. It outlives its driver, so that the next one goes on with it. Units as in `Trial`."""

    number: int
    origin: Origin
    k1: int
    r1: float
    k2: int
    r2: float
    phi_shallow: str
    phi_deep: str
    seed: int
    source: str = ""
    attempts: int = 0
    begun_at: datetime = field(default_factory=utc_now)
