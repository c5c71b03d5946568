"""What a search hands to workers and what comes back: jobs, outcomes, and the contract of whoever runs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from himap import PruningConfig
from search.workers.racing import Rival
from storage import Latency
from storage.records import Measurement


@dataclass(frozen=True)
class Panel:
    """Questions `start` to `stop` of a split's order, which several configurations answer."""

    split: str
    start: int
    stop: int
    configs: tuple[PruningConfig, ...]

    @property
    def answers(self) -> int:
        """The number of answers."""
        return (self.stop - self.start) * len(self.configs)


@dataclass(frozen=True)
class Job:
    """A configuration to measure, with a tag that comes back with the outcome.

    It is pruned once it loses to one of the `rivals` with 95 % confidence. With `timed` nothing but its latency is
    measured, on an idle pool, with a `batch` all figures of `latency.measure`; with a `panel` only the scores of all
    its configurations.
    """

    benchmark: str
    config: PruningConfig
    tag: Any = None
    rivals: tuple[Rival, ...] = ()
    timed: bool = False
    batch: int | None = None
    panel: Panel | None = None


@dataclass(frozen=True)
class Outcome:
    """A finished job.

    A measurement with a `reason` is that of a pruned trial; a reason alone says why the job failed, and `lost` that
    its worker died with it or had to be killed. A timed job has a `latency` and no measurement, a panel `scores`:
    (configurations, questions).
    """

    job: Job
    measurement: Measurement | None = None
    reason: str = ""
    lost: bool = False
    latency: Latency | None = None
    scores: np.ndarray | None = None


class WorkerPool(Protocol):
    """Workers that measure jobs, each in the order it was handed them."""

    @property
    def running(self) -> int:
        """Jobs that were handed out and are not finished."""

    @property
    def has_room(self) -> bool:
        """Whether another job keeps a worker busy."""

    def prefers(self, benchmark: str) -> bool:
        """Return whether the worker that gets the next job has the benchmark's caches, or none has."""

    def submit(self, job: Job) -> None:
        """Hand out a job."""

    def finished(self, timeout: float) -> Iterator[Outcome]:
        """Return the outcomes that are there within `timeout` seconds."""


class Runner(Protocol):
    """What a worker measures jobs with."""

    def measure(self, benchmark: str, config: PruningConfig, rivals: tuple[Rival, ...] = ()) -> tuple[Measurement, str]:
        """Return the measurement, and why it was pruned; "" where it was measured to its end."""

    def time(self, benchmark: str, config: PruningConfig, batch: int | None = None) -> Latency:
        """Return the latency; nothing else may run on the device."""

    def answer(self, benchmark: str, panel: Panel) -> np.ndarray:
        """Return the scores of a panel, (configurations, questions)."""
