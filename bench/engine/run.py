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

from bench.endless import endless
from bench.synthetic import LAYERS, TOKENS, measurement
from himap import PruningConfig
from search.running.driver import Driver
from search.sampling.space import VERSION, SearchSpace
from search.studies.lease_holder import LeaseHolder
from search.studies.store_writer import StoreWriter
from search.studies.study import Study
from search.studies.study_run import StudyRun
from search.workers.cluster import Cluster
from search.workers.jobs import Panel
from search.workers.pool import Pool
from search.workers.racing import Rival
from storage import Latency, Measurement, Store, StudyKey, Trial, open_store

QUESTIONS, WORKERS = 120, 2


class EmptyRunner:
    """A trial runner that has nothing to do."""

    def measure(self, benchmark: str, config: PruningConfig, rivals: tuple[Rival, ...] = ()) -> tuple[Measurement, str]:
        return measurement(config, QUESTIONS), ""

    def time(self, benchmark: str, config: PruningConfig, batch: int | None = None) -> Latency:
        return Latency(1.0, 1.0, 1.0, "none")

    def answer(self, benchmark: str, panel: Panel) -> np.ndarray:
        return np.zeros((len(panel.configs), panel.stop - panel.start))


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
        with Pool(WORKERS, EmptyRunner) as pool:
            up = time.perf_counter() - began
            ended: list[float] = []
            writer = StoreWriter(store, holder.owner)
            run = StudyRun(
                *(key, study_id, study, trials, stored, writer), on_trial=lambda *_: ended.append(time.perf_counter())
            )
            driver = Driver(pool, [run], holder)
            start = time.perf_counter()
            with endless():
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
        remote: Any = ray.remote(num_cpus=1)(EmptyRunner)
        actors = [remote.remote() for _ in range(WORKERS)]
        ray.get([actor.measure.remote("pope", PruningConfig.dense()) for actor in actors])
        running: dict[Any, tuple[Any, optuna.Trial]] = {}
        start = time.perf_counter()
        started = finished = 0
        while finished < trials:
            while actors and started < trials:
                trial = study.ask(space.distributions)
                actor = actors.pop()
                running[actor.measure.remote("pope", space.config(trial.params))] = actor, trial
                started += 1
            (reference,), _ = ray.wait(list(running))
            actor, trial = running.pop(reference)
            measured, _ = ray.get(reference)
            study.tell(trial, [measured.accuracy, measured.flops_ratio])
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
