"""Refine and certify several studies on a pool of workers; every answered chunk is committed at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from himap import PruningConfig
from search.certifying.study_certifier import Chunk, StudyCertifier
from search.studies.lease_holder import LeaseHolder
from search.workers.jobs import Job, Outcome, Panel, WorkerPool

_RETRIES = 2  # of a chunk that was lost with its worker
_WAIT = 0.5  # seconds for a result


@dataclass
class CertifyTask:
    """One study on its way to a certificate.

    Attributes:
        configs: by trial.
        splits: what the worker calls the certifier's "validation" and "test" questions.
        failed: why it was given up; "" if it was not.
    """

    benchmark: str
    certifier: StudyCertifier
    configs: dict[int, PruningConfig]
    splits: dict[str, str]
    failed: str = ""
    retries: list[tuple[Chunk, int]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether nothing is left to ask."""
        return bool(self.failed) or self.certifier.done

    def next(self) -> tuple[Chunk, int] | None:
        """Return the next chunk, and how often it was lost."""
        if self.done:
            return None
        if self.retries:
            return self.retries.pop()
        chunk = self.certifier.next()
        return None if chunk is None else (chunk, 0)

    def job(self, chunk: Chunk, lost: int) -> Job:
        """Return what a worker is handed."""
        configs = tuple(self.configs[number] for number in chunk.numbers)
        panel = Panel(self.splits[chunk.split], chunk.start, chunk.stop, configs)
        return Job(self.benchmark, configs[0], (self, chunk, lost), panel=panel)


class CertifyDriver:
    """Runs tasks to their ends.

    Args:
        stop: once it is set nothing more is handed out.
        on_chunk: called after each committed chunk with its task and its number of answers.
    """

    def __init__(
        self,
        pool: WorkerPool,
        tasks: Sequence[CertifyTask],
        holder: LeaseHolder | None = None,
        stop: threading.Event | None = None,
        on_chunk: Callable[[CertifyTask, int], None] = lambda task, answers: None,
    ) -> None:
        self._pool, self._tasks, self._holder = pool, tasks, holder
        self._stop, self._on_chunk = stop or threading.Event(), on_chunk
        self._turn = 0

    def run(self) -> None:
        """Return when every task is done, or, after a stop, when what runs is committed.

        Raises:
            LeaseLostError: another process works on one of the studies by now.
            WorkersLostError: Ray cannot be kept alive.
        """
        while True:
            if self._holder is not None:
                self._holder.check()
            while not self._stop.is_set() and self._pool.has_room and (job := self._next()) is not None:
                self._pool.submit(job)
            if not self._pool.running:
                return
            for outcome in self._pool.finished(timeout=_WAIT):
                self._take(outcome)

    def _next(self) -> Job | None:
        """Return a job of the next task that has one, each in its turn."""
        for _ in self._tasks:
            task = self._tasks[self._turn % len(self._tasks)]
            self._turn += 1
            if (waiting := task.next()) is not None:
                return task.job(*waiting)
        return None

    def _take(self, outcome: Outcome) -> None:
        task, chunk, lost = outcome.job.tag
        if outcome.scores is not None:
            scores: dict[int, np.ndarray] = dict(zip(chunk.numbers, outcome.scores, strict=True))
            task.certifier.take(chunk, scores)
            self._on_chunk(task, sum(map(len, scores.values())))
        elif outcome.lost and lost < _RETRIES:
            task.retries.append((chunk, lost + 1))
        else:
            task.failed = outcome.reason
