"""Run empty trials through the whole engine: Ray actors, the driver, a study, and a store that keeps each."""

from __future__ import annotations

import math
import os
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import psutil
import ray

from bench.synthetic import LAYERS, TOKENS, measurement
from himap import PruningConfig
from search.running.driver import Driver
from search.sampling.space import VERSION, SearchSpace
from search.studies.lease_holder import LeaseHolder
from search.studies.study import Study
from search.studies.study_run import StudyRun
from search.workers.cluster import Cluster
from search.workers.pool import Pool
from search.workers.racing import Rival
from storage import Store, StudyKey, Trial, open_store

QUESTIONS, WORKERS = 120, 2


class _Empty:
    """An evaluator that has nothing to do."""

    def ready(self) -> tuple[str, int]:
        """Return node and process."""
        return ray.get_runtime_context().get_node_id(), os.getpid()

    def measure(self, benchmark: str, config: PruningConfig, rivals: tuple[Rival, ...]) -> dict[str, Any]:
        return measurement(config, QUESTIONS)

    def time(self, benchmark: str, config: PruningConfig) -> dict[str, Any]:
        return {"median": 1.0, "low": 1.0, "high": 1.0, "device": "none"}


def _actor() -> Any:
    remote: Any = ray.remote(num_cpus=1)(_Empty)
    return remote.remote()


class EmptyPool(Pool):
    """The pool of a search, with evaluators that have nothing to do."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers, "", "validation", QUESTIONS, cluster=Cluster())

    def _make(self) -> Any:
        return _actor()


def open_study(store: Store, sampler: str, seed: int = 0) -> tuple[int, StudyKey, Study, list[Trial]]:
    """Return a study of the store, rebuilt from its trials: its id, key, sampler and stored trials."""
    key = StudyKey("empty", "0" * 64, "pope", "validation", QUESTIONS, seed, VERSION)
    study_id = store.study(key)
    stored = store.trials(study_id)
    baselines: Any = [("dense", PruningConfig.dense()), ("paper", PruningConfig.paper())]
    study = Study(SearchSpace(LAYERS), baselines, (TOKENS,), sampler, seed, stored, unfinished=store.running(study_id))
    return study_id, key, study, stored


def overhead(url: str, trials: int, sampler: str) -> dict[str, float]:
    """Return the milliseconds a trial that the engine adds, the start-up in seconds, and memory in MiB."""
    began = time.perf_counter()
    with open_store(url) as store, LeaseHolder(store) as holder:
        study_id, key, study, stored = open_study(store, sampler)
        holder.take(study_id, key)
        with EmptyPool(WORKERS) as pool:
            up = time.perf_counter() - began
            ended: list[float] = []
            run = StudyRun(key, study_id, study, trials, stored)
            driver = Driver(store, pool, [run], lambda *_: ended.append(time.perf_counter()), True, holder)
            start = time.perf_counter()
            driver.run()
            memory = {"driver_mib": _own_peak(), "workers_and_ray_mib": _below(os.getpid())}
        assert len(store.trials(study_id, scores=False)) == trials
    gaps = np.diff([start, *ended])
    return {
        "ms_per_trial": 1e3 * (ended[-1] - start) / trials,
        "ms_median": 1e3 * float(np.median(gaps)),
        "ms_first_half": 1e3 * (ended[trials // 2 - 1] - start) / (trials // 2),
        "startup_s": up,
        **memory,
    }


def peer(folder: Path, trials: int) -> float:
    """Return the milliseconds a trial of Optuna alone: the same actors, TPE, and its own SQLite storage."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")
    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
    study = optuna.create_study(storage=storage, sampler=sampler, directions=["maximize", "minimize"])
    space = SearchSpace(LAYERS)
    with Cluster() as cluster:
        cluster.start(WORKERS)
        actors = [_actor() for _ in range(WORKERS)]
        ray.get([actor.ready.remote() for actor in actors])
        running: dict[Any, tuple[Any, optuna.Trial]] = {}
        start = time.perf_counter()
        started = finished = 0
        while finished < trials:
            while actors and started < trials:
                trial = study.ask(space.distributions)
                actor = actors.pop()
                running[actor.measure.remote("pope", space.config(trial.params), ())] = actor, trial
                started += 1
            (reference,), _ = ray.wait(list(running))
            actor, trial = running.pop(reference)
            fields = ray.get(reference)
            study.tell(trial, [fields["accuracy"], fields["flops_ratio"]])
            actors.append(actor)
            finished += 1
        return 1e3 * (time.perf_counter() - start) / trials


def median_of(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over runs."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _own_peak() -> float:
    """Return the peak memory of this process in MiB; NaN where the system does not report it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 or math.nan


def _below(pid: int) -> float:
    """Return the memory of all child processes in MiB, shared pages counted once; NaN where it is not reported."""
    total = 0
    for child in psutil.Process(pid).children(recursive=True):
        try:
            total += child.memory_full_info().pss
        except (psutil.Error, OSError, AttributeError):
            continue  # it has ended, or the system reports no proportional shares
    return total / 2**20 or math.nan
