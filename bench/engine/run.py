"""Empty trials through the whole engine: Ray actors, the driver, a study, and a store that keeps each."""

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

from himap import PruningConfig
from search.running.driver import Driver
from search.sampling.space import VERSION, SearchSpace
from search.studies.lease_holder import LeaseHolder
from search.studies.store_writer import StoreWriter
from search.studies.study import Study
from search.studies.study_run import StudyRun
from search.workers.cluster import Cluster
from search.workers.pool import Pool
from search.workers.racing import Rival
from storage import Latency, Store, StudyKey, Trial, open_store
from storage.records import Measurement

LAYERS, TOKENS, QUESTIONS = 28, 256, 120
WORKERS = 2


def empty(config: PruningConfig) -> Measurement:
    """A measurement that costs nothing: fewer tokens cost less and earn less, with scores."""
    first, second = config.kept(TOKENS)
    layers = config.k1 * TOKENS + (config.k2 - config.k1) * first + (LAYERS - config.k2) * second
    ratio = layers / (LAYERS * TOKENS)
    right = round(QUESTIONS * (0.3 + 0.6 * ratio**0.5))
    accuracy = right / QUESTIONS
    return Measurement(
        image_tokens=float(TOKENS),
        tokens_after_k1=float(first),
        tokens_after_k2=float(second),
        text_tokens=30.0,
        flops_ratio=ratio,
        flops=1e12 * ratio,
        paper_flops=9e11 * ratio,
        accuracy=accuracy,
        accuracy_low=max(0.0, accuracy - 0.1),
        accuracy_high=min(1.0, accuracy + 0.1),
        n=QUESTIONS,
        device="none",
        seconds=1e-3,
        metrics={"accuracy": accuracy},
        scores=(1.0,) * right + (0.0,) * (QUESTIONS - right),
    )


class EmptyRunner:
    """Measures without doing anything."""

    def measure(self, benchmark: str, config: PruningConfig, rivals: tuple[Rival, ...] = ()) -> tuple[Measurement, str]:
        return empty(config), ""

    def time(self, benchmark: str, config: PruningConfig) -> Latency:
        return Latency(1.0, 1.0, 1.0, "none")


def open_study(store: Store, sampler: str, seed: int = 0) -> tuple[int, StudyKey, Study, list[Trial]]:
    """A study of the store, rebuilt from its trials."""
    key = StudyKey("empty", "0" * 64, "pope", "validation", QUESTIONS, seed, VERSION)
    study_id = store.study(key)
    stored = store.trials(study_id)
    baselines: Any = [("dense", PruningConfig.dense()), ("paper", PruningConfig.paper())]
    study = Study(SearchSpace(LAYERS), baselines, (TOKENS,), sampler, seed, stored, unfinished=store.running(study_id))
    return study_id, key, study, stored


def overhead(url: str, trials: int, sampler: str) -> dict[str, float]:
    """Milliseconds a trial that the engine adds, start-up in seconds, and memory in MiB."""
    began = time.perf_counter()
    with open_store(url) as store, LeaseHolder(store) as holder:
        study_id, key, study, stored = open_study(store, sampler)
        holder.take(study_id, key)
        with Pool(WORKERS, EmptyRunner) as pool:
            up = time.perf_counter() - began
            ended: list[float] = []
            run = StudyRun(key, study_id, study, trials, stored, StoreWriter(store, holder.owner))
            run.on_trial = lambda *_: ended.append(time.perf_counter())
            driver = Driver(pool, [run], holder)
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
    """Milliseconds a trial of what Optuna offers: the same actors, TPE, and its own SQLite storage."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")
    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
    study = optuna.create_study(storage=storage, sampler=sampler, directions=["maximize", "minimize"])
    space = SearchSpace(LAYERS)
    with Cluster() as cluster:
        cluster.start(WORKERS)
        remote: Any = ray.remote(num_cpus=1)(EmptyRunner)
        actors = [remote.remote() for _ in range(WORKERS)]
        ray.get([actor.measure.remote("pope", PruningConfig.dense(), ()) for actor in actors])
        running: dict[Any, tuple[Any, optuna.Trial]] = {}
        start = time.perf_counter()
        asked = told = 0
        while told < trials:
            while actors and asked < trials:
                trial = study.ask(space.distributions)
                actor = actors.pop()
                running[actor.measure.remote("pope", space.config(trial.params), ())] = actor, trial
                asked += 1
            (reference,), _ = ray.wait(list(running))
            actor, trial = running.pop(reference)
            measurement, _ = ray.get(reference)
            study.tell(trial, [measurement.accuracy, measurement.flops_ratio])
            actors.append(actor)
            told += 1
        return 1e3 * (time.perf_counter() - start) / trials


def median_of(runs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure over runs."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _own_peak() -> float:
    """The most memory that this process ever held, in MiB; NaN where the system does not tell."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 or math.nan


def _below(pid: int) -> float:
    """Memory of all processes below this one, shared pages counted once, in MiB; NaN where not told."""
    total = 0
    for child in psutil.Process(pid).children(recursive=True):
        try:
            total += child.memory_full_info().pss
        except (psutil.Error, OSError, AttributeError):
            continue  # gone since, or a system without proportional shares
    return total / 2**20 or math.nan
