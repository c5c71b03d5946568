"""Evaluator actors on Ray: each keeps its model and its caches, and measures what it is handed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from himap import PruningConfig
from search.errors import UsageError

_QUEUED = 2  # one running and one waiting, so that no actor waits for the driver
_OBJECT_STORE_BYTES = 100 * 1024**2  # measurements are small


@dataclass(frozen=True)
class Job:
    """What an actor is to measure, with a tag that comes back with the outcome."""

    benchmark: str
    config: PruningConfig
    tag: Any


@dataclass(frozen=True)
class Outcome:
    """A finished job: its fields, or why it failed. `lost` says that the actor died with it."""

    job: Job
    fields: dict[str, Any] | None
    reason: str = ""
    lost: bool = False


@ray.remote(num_cpus=1)
class _Evaluator:
    def __init__(self, source: str, split: str, n_questions: int) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        from search.measure import Bench

        self._bench = Bench(source, split, n_questions)

    def measure(self, benchmark: str, config: PruningConfig) -> dict[str, Any]:
        return self._bench.measure(benchmark, config)


class Pool:
    """`workers` evaluators of one checkpoint; use as a context manager."""

    def __init__(self, workers: int, source: str, split: str, n_questions: int) -> None:
        self._make = lambda: _Evaluator.remote(source, split, n_questions)  # type: ignore[attr-defined]
        self._workers = workers
        self._actors: list[Any] = []
        self._running: dict[Any, tuple[int, Job]] = {}

    def __enter__(self) -> Pool:
        if not ray.is_initialized():
            ray.init(
                num_cpus=self._workers,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=_OBJECT_STORE_BYTES,
                configure_logging=False,
            )
        available = int(ray.cluster_resources().get("CPU", 0))
        if self._workers > available:
            raise UsageError(
                f"got --workers {self._workers}; the Ray cluster has {available} CPUs, ask for at most that"
            )
        self._actors = [self._make() for _ in range(self._workers)]
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            ray.kill(actor)
        ray.shutdown()

    @property
    def running(self) -> int:
        """Jobs handed out and not finished."""
        return len(self._running)

    @property
    def has_room(self) -> bool:
        return self.running < _QUEUED * self._workers

    def submit(self, job: Job) -> None:
        """Hands the job to the actor that has least to do."""
        load = [sum(at == i for at, _ in self._running.values()) for i in range(self._workers)]
        chosen = load.index(min(load))
        self._running[self._actors[chosen].measure.remote(job.benchmark, job.config)] = (chosen, job)

    def finished(self, timeout: float) -> Iterator[Outcome]:
        """Outcomes that are there within `timeout` seconds; a dead actor is replaced."""
        if not self._running:
            return
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=timeout)
        for reference in ready:
            index, job = self._running.pop(reference)
            try:
                yield Outcome(job, ray.get(reference))
            except RayTaskError as error:
                yield Outcome(job, None, _reason(error))
            except RayActorError as error:
                yield from self._replace(index, Outcome(job, None, _reason(error), lost=True))

    def _replace(self, index: int, first: Outcome) -> Iterator[Outcome]:
        """A new actor at `index`; what the old one had waiting is lost with it."""
        waiting = [(r, job) for r, (at, job) in self._running.items() if at == index]
        ray.kill(self._actors[index])
        self._actors[index] = self._make()
        yield first
        for reference, job in waiting:
            del self._running[reference]
            yield Outcome(job, None, first.reason, lost=True)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if lines else type(error).__name__
