"""Evaluator actors on Ray: each keeps its model and its caches, and measures what it is handed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from himap import PruningConfig
from objectives.data.source import QuestionSet
from search.errors import WorkersLostError
from search.workers.cluster import Cluster
from search.workers.racing import Rival
from search.workers.timeouts import Limits

_QUEUED = 2  # one running and one waiting, so that no actor waits for the driver
_STARTS = 3  # of a worker, before it is given up
_REBUILDS = 3  # of Ray, without a result in between
_LOOK_SECONDS = 5.0  # between looks for new nodes


@dataclass(frozen=True)
class Job:
    """What an actor is to measure, with a tag that comes back with the outcome.

    It is stopped once it surely loses to one of the `rivals`. With `timed` its latency is measured and
    nothing else; for that nothing else may run.
    """

    benchmark: str
    config: PruningConfig
    tag: Any
    rivals: tuple[Rival, ...] = ()
    timed: bool = False


@dataclass(frozen=True)
class Outcome:
    """A finished job: its fields, or why it failed. `lost` says that the actor died with it, or had to."""

    job: Job
    fields: dict[str, Any] | None
    reason: str = ""
    lost: bool = False


class _Evaluator:
    def __init__(
        self, source: str, split: str, n_questions: int, prefix_bytes: int, asked: Mapping[str, QuestionSet]
    ) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        from search.workers.trial_runner import TrialRunner

        self._runner = TrialRunner(source, split, n_questions, prefix_bytes, asked)

    def ready(self) -> tuple[str, int]:
        """Node and process, once the model is loaded."""
        return ray.get_runtime_context().get_node_id(), os.getpid()

    def measure(self, benchmark: str, config: PruningConfig, rivals: tuple[Rival, ...]) -> dict[str, Any]:
        return self._runner.measure(benchmark, config, rivals)

    def time(self, benchmark: str, config: PruningConfig) -> dict[str, Any]:
        return self._runner.time(benchmark, config)


class Pool:
    """`workers` evaluators of one checkpoint, on this machine or on a cluster; a context manager.

    A worker whose node is gone waits for room elsewhere while the others go on. Each benchmark belongs to the
    worker that had it first, whose caches serve it best: `prefers` tells, and `submit` follows where that
    costs no waiting. A worker that takes longer than `limits` allow is killed and replaced; if Ray itself
    dies on this machine it is started again.

    Args:
        asked: questions of benchmarks that are not embedded, which have `n_questions` of `split`.
    """

    def __init__(
        self,
        workers: int,
        source: str,
        split: str,
        n_questions: int,
        prefix_bytes: int = 0,
        asked: Mapping[str, QuestionSet] | None = None,
        cluster: Cluster | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._places: dict[int, tuple[str, int]] = {}
        self._rebuilt = 0
        self._workers, self._cluster = workers, cluster or Cluster()
        place = str(Path(source).resolve()) if Path(source).is_dir() else source  # workers start elsewhere
        self._arguments = (place, split, n_questions, prefix_bytes, asked or {})
        self._owners: dict[str, int] = {}
        self._actors: list[Any] = []
        self._starting: dict[Any, int] = {}
        self._failed: dict[int, int] = {}
        self._looked = time.monotonic()
        self._running: dict[Any, tuple[int, Job]] = {}

    def __enter__(self) -> Pool:
        """Starts the workers and waits until they have loaded the model.

        Raises:
            WorkersLostError: Ray does not start, or a worker cannot load the model.
        """
        try:
            self._cluster.start(self._workers)
            self._actors = [self._make() for _ in range(self._workers)]
            self._places = dict(enumerate(ray.get([actor.ready.remote() for actor in self._actors])))
        except Exception as error:  # Ray raises a bare one where its processes are slow to start
            self._cluster.leave()
            raise WorkersLostError(f"the workers do not start: {_reason(error)}") from error
        except BaseException:
            self._cluster.leave()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.leave()

    def _make(self) -> Any:
        remote: Any = ray.remote(num_cpus=1, num_gpus=self._cluster.gpus)(_Evaluator)
        return remote.remote(*self._arguments)

    def _start(self, index: int) -> None:
        """Begins to start a worker at `index`; `_settle` sees when it is up."""
        self._actors[index] = self._make()
        self._starting[self._actors[index].ready.remote()] = index

    def _up(self) -> list[int]:
        """Workers that have loaded the model; all if none has."""
        down = {*self._starting.values(), *(i for i, times in self._failed.items() if times >= _STARTS)}
        everyone = range(len(self._actors))
        return [i for i in everyone if i not in down] or list(everyone)

    def _settle(self) -> None:
        """Takes in workers that are up by now, and starts some on new nodes."""
        started = ray.wait(list(self._starting), timeout=0)[0] if self._starting else []
        for reference in started:
            index = self._starting.pop(reference)
            try:
                self._places[index] = ray.get(reference)
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
        """Workers with nothing to do take jobs that wait for workers which are not up."""
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
        """Jobs handed out and not finished."""
        return len(self._running)

    @property
    def has_room(self) -> bool:
        return self.running < _QUEUED * len(self._up())

    def prefers(self, benchmark: str) -> bool:
        """Whether the worker that gets the next job is the benchmark's own, or it has none yet."""
        return self._owners.get(benchmark) in (None, *self._least_busy())

    def submit(self, job: Job) -> None:
        """Hands the job to the actor that has least to do."""
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
            reference = actor.time.remote(job.benchmark, job.config)
        else:
            reference = actor.measure.remote(job.benchmark, job.config, job.rivals)
        self._running[reference] = (index, job)

    def finished(self, timeout: float) -> Iterator[Outcome]:
        """Outcomes that are there within `timeout` seconds; a dead or hung actor is replaced.

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
        """Replaces workers that are at a job for longer than its limit."""
        heads: dict[int, Job] = {}
        for at, job in self._running.values():
            heads.setdefault(at, job)
        for index, job in heads.items():
            if index not in self._starting.values() and self._limits.over(index, _kind(job)):
                limit = self._limits.of(_kind(job))
                yield from self._replace(index, f"no result within {limit:.0f} s, so the worker was killed")

    def _kill(self, index: int) -> None:
        """Ends the worker, on this machine even if it answers nobody."""
        node, process = self._places.pop(index, ("", 0))
        if node == ray.get_runtime_context().get_node_id():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        ray.kill(self._actors[index])

    def _rebuild(self) -> Iterator[Outcome]:
        """Ray anew, after its own processes died; jobs without a result are handed out again."""
        self._rebuilt += 1
        if self._rebuilt > _REBUILDS:
            raise WorkersLostError(f"Ray died {self._rebuilt} times in a row; see its logs in /tmp/ray")
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
        """A new actor at `index`. An actor works in order, so the first job without a result died with it;
        those behind it had not begun and go to the new one."""
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
        return Outcome(job, ray.get(reference))
    except RayTaskError as error:  # of the kind of what was raised there, too
        full = isinstance(error, MemoryError | torch.OutOfMemoryError)
        return Outcome(job, None, f"out of memory: {_reason(error)}" if full else _reason(error), lost=full)
    except RayError as error:
        return Outcome(job, None, f"the worker died: {_reason(error)}", lost=True)


def _kind(job: Job) -> str:
    return f"{job.benchmark}, timed" if job.timed else job.benchmark


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if lines else type(error).__name__
