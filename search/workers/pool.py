"""Workers as Ray actors: each keeps its model and its caches, and measures the jobs it is handed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import ray
import torch
from ray.exceptions import RayError, RayTaskError

from himap import PruningConfig
from search.errors import UsageError, WorkersLostError
from search.workers.cluster import Cluster
from search.workers.jobs import Job, Outcome, Panel, Runner
from search.workers.racing import Rival
from search.workers.timeouts import TimeLimits
from storage import Latency
from storage.records import Measurement

_QUEUED = 2  # one running and one waiting, so that no worker waits for the driver
_STARTS = 3  # of a worker, before it is given up
_REBUILDS = 3  # of Ray, without a result in between
_LOOK_SECONDS = 5.0  # between looks for new nodes


class _Evaluator:
    """The actor of one worker."""

    def __init__(self, make_runner: Callable[[], Runner]) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        self._runner = make_runner()

    def ready(self) -> tuple[str, int]:
        """Return node and process, once the model is loaded."""
        return ray.get_runtime_context().get_node_id(), os.getpid()

    def measure(self, benchmark: str, config: PruningConfig, rivals: tuple[Rival, ...]) -> tuple[Measurement, str]:
        return self._runner.measure(benchmark, config, rivals)

    def time(self, benchmark: str, config: PruningConfig, batch: int | None) -> Latency:
        return self._runner.time(benchmark, config, batch)

    def answer(self, benchmark: str, panel: Panel) -> np.ndarray:
        return self._runner.answer(benchmark, panel)


class Pool:
    """`workers` Ray actors, on this machine or on a cluster; a context manager and a `WorkerPool`.

    A worker whose node is gone waits for room elsewhere while the others work. Each benchmark belongs to the worker
    that had it first, whose caches serve it best: `prefers` tells, and `submit` follows where that costs no waiting.
    A worker that exceeds its time limit is killed and replaced; if Ray itself dies on this machine it is started
    again.

    Args:
        make_runner: makes what a worker measures with, in the worker's process.
    """

    def __init__(
        self,
        workers: int,
        make_runner: Callable[[], Runner],
        cluster: Cluster | None = None,
        limits: TimeLimits | None = None,
    ) -> None:
        self._workers, self._make_runner = workers, make_runner
        self._cluster, self._limits = cluster or Cluster(), limits or TimeLimits()
        self._processes: dict[int, tuple[str, int]] = {}
        self._rebuilt = 0
        self._owners: dict[str, int] = {}
        self._actors: list[Any] = []
        self._starting: dict[Any, int] = {}
        self._failed: dict[int, int] = {}
        self._looked = time.monotonic()
        self._running: dict[Any, tuple[int, Job]] = {}

    def __enter__(self) -> Pool:
        """Start the workers and wait until they have loaded the model.

        Raises:
            WorkersLostError: Ray does not start, or a worker cannot load the model.
        """
        try:
            self._cluster.start(self._workers)
            self._actors = [self._make() for _ in range(self._workers)]
            self._processes = dict(enumerate(ray.get([actor.ready.remote() for actor in self._actors])))
        except UsageError:
            self._cluster.leave()
            raise
        except Exception as error:  # Ray raises a bare one where its processes are slow to start
            self._cluster.leave(keep_logs=True)
            raise WorkersLostError(f"the workers do not start: {_reason(error)}") from error
        except BaseException:
            self._cluster.leave()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._cluster.leave(keep_logs=kind is WorkersLostError)

    def _make(self) -> Any:
        remote: Any = ray.remote(num_cpus=1, num_gpus=self._cluster.gpus)(_Evaluator)
        return remote.remote(self._make_runner)

    def _start(self, index: int) -> None:
        """Begin to start a worker at `index`; `_settle` notices when it is up."""
        self._actors[index] = self._make()
        self._starting[self._actors[index].ready.remote()] = index

    def _up(self) -> list[int]:
        """Return the workers that have loaded the model; all if none has."""
        down = {*self._starting.values(), *(i for i, failures in self._failed.items() if failures >= _STARTS)}
        everyone = range(len(self._actors))
        return [i for i in everyone if i not in down] or list(everyone)

    def _settle(self) -> None:
        """Take in workers that are up by now, and start some on new nodes."""
        started = ray.wait(list(self._starting), timeout=0)[0] if self._starting else []
        for reference in started:
            index = self._starting.pop(reference)
            try:
                self._processes[index] = ray.get(reference)
                self._failed.pop(index, None)
                self._limits.begin(index)
            except RayError:
                self._failed[index] = self._failed.get(index, 0) + 1
                if self._failed[index] < _STARTS:
                    self._start(index)
        self._relieve()
        if self._cluster.growing and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            for _ in range(self._cluster.room() - len(self._actors)):
                self._actors.append(None)
                self._start(len(self._actors) - 1)

    def _relieve(self) -> None:
        """Give jobs that wait for workers which are not up to idle ones."""
        up, waiting = self._up(), set(self._starting.values())
        busy = {at for at, _ in self._running.values()}
        idle = [i for i in up if i not in busy and i not in waiting]
        for reference, (at, job) in list(self._running.items()):
            if at in waiting and idle:
                del self._running[reference]
                ray.cancel(reference)
                self._hand(job, idle.pop())

    @property
    def running(self) -> int:
        """Jobs that were handed out and are not finished."""
        return len(self._running)

    @property
    def has_room(self) -> bool:
        """Whether another job keeps a worker busy."""
        return self.running < _QUEUED * len(self._up())

    def prefers(self, benchmark: str) -> bool:
        """Return whether the worker that gets the next job is the benchmark's own, or it has none yet."""
        return self._owners.get(benchmark) in (None, *self._least_busy())

    def submit(self, job: Job) -> None:
        """Hand the job to the worker that has least to do."""
        free = self._least_busy()
        owner = self._owners.setdefault(job.benchmark, free[0])
        self._hand(job, owner if owner in free else free[0])

    def _least_busy(self) -> list[int]:
        load = {i: sum(at == i for at, _ in self._running.values()) for i in self._up()}
        return [i for i, jobs in load.items() if jobs == min(load.values())]

    def _hand(self, job: Job, index: int) -> None:
        actor = self._actors[index]
        if all(at != index for at, _ in self._running.values()):
            self._limits.begin(index)
        if job.timed:
            reference = actor.time.remote(job.benchmark, job.config, job.batch)
        elif job.panel is not None:
            reference = actor.answer.remote(job.benchmark, job.panel)
        else:
            reference = actor.measure.remote(job.benchmark, job.config, job.rivals)
        self._running[reference] = (index, job)

    def finished(self, timeout: float) -> Iterator[Outcome]:
        """Return the outcomes that are there within `timeout` seconds; replace dead and hung workers.

        Raises:
            WorkersLostError: Ray cannot be kept alive.
        """
        self._settle()
        if not self._running:
            return
        ready, _ = ray.wait([*self._running, *self._starting], num_returns=1, timeout=timeout)
        for reference in ready:
            if reference in self._starting:
                continue
            index, job = self._running[reference]
            outcome = _outcome(reference, job)
            if outcome.lost:
                yield from self._replace(index)
            else:
                del self._running[reference]
                self._limits.end(index, _kind(job))
                self._rebuilt = 0
                yield outcome
        yield from self._hung()

    def _hung(self) -> Iterator[Outcome]:
        """Replace workers whose job exceeds its time limit."""
        heads: dict[int, Job] = {}
        for at, job in self._running.values():
            heads.setdefault(at, job)
        for index, job in heads.items():
            if index not in self._starting.values() and self._limits.exceeded(index, _kind(job)):
                limit = self._limits.of(_kind(job))
                yield from self._replace(index, f"no result within {limit:.0f} s, so the worker was killed")

    def _kill(self, index: int) -> None:
        """End the worker, on this machine even if it does not respond."""
        node, process = self._processes.pop(index, ("", 0))
        if node == ray.get_runtime_context().get_node_id():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        ray.kill(self._actors[index])

    def _rebuild(self) -> Iterator[Outcome]:
        """Start Ray again after its own processes died; hand out again the jobs without a result."""
        self._rebuilt += 1
        if self._rebuilt > _REBUILDS:
            raise WorkersLostError(f"Ray died {self._rebuilt} times in a row; see its logs in {self._cluster.logs}")
        outcomes, again = [], []
        for reference, (_, job) in self._running.items():
            outcome = _outcome(reference, job) if ray.wait([reference], timeout=0)[0] else None
            if outcome is None or outcome.lost:
                again.append(job)
            else:
                outcomes.append(outcome)
        for held in (self._running, self._starting, self._failed):
            held.clear()
        self._cluster.leave()
        self.__enter__()
        for job in again:
            self.submit(job)
        yield from outcomes

    def _replace(self, index: int, hung: str = "") -> Iterator[Outcome]:
        """Start a new worker at `index`, for the reason `hung` if it was killed.

        A worker takes jobs in order, so the first job without a result died with it; those behind it had not begun
        and go to the new one.
        """
        if self._cluster.broken:
            yield from self._rebuild()
            return
        held = [(reference, job) for reference, (at, job) in self._running.items() if at == index]
        self._kill(index)
        self._starting = {reference: at for reference, at in self._starting.items() if at != index}
        self._start(index)
        blamed = False
        for reference, job in held:
            del self._running[reference]
            outcome = _outcome(reference, job)
            if outcome.lost and blamed:
                self._hand(job, index)
            else:
                blamed = blamed or outcome.lost
                yield replace(outcome, reason=hung) if hung and outcome.lost else outcome


def _outcome(reference: Any, job: Job) -> Outcome:
    try:
        result = ray.get(reference)
    except RayTaskError as error:  # of the kind of what was raised there, too
        full = isinstance(error, MemoryError | torch.OutOfMemoryError)
        return Outcome(job, reason=f"out of memory: {_reason(error)}" if full else _reason(error), lost=full)
    except RayError as error:
        return Outcome(job, reason=f"the worker died: {_reason(error)}", lost=True)
    if job.panel is not None:
        return Outcome(job, scores=result)
    return Outcome(job, latency=result) if job.timed else Outcome(job, *result)


def _kind(job: Job) -> str:
    if job.panel is not None:  # jobs of about the same size have a limit together
        return f"{job.benchmark}, {1 << job.panel.answers.bit_length()} answers"
    return f"{job.benchmark}, timed at batch {job.batch}" if job.timed else job.benchmark


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if lines else type(error).__name__
