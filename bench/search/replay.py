"""Replay searches from a table: the real driver, study and race, on a simulated clock.

A measurement takes the seconds that the table says, on as many workers as there were cores; the driver's own time in
between is measured for real and added.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.search.tabulate import ScoreTable
from himap import PruningConfig
from search.running.driver import Driver
from search.sampling.problem import Goals
from search.sampling.space import SearchSpace
from search.studies.store_writer import StoreWriter
from search.studies.study import Study
from search.studies.study_run import StudyRun
from search.workers.jobs import Job, Outcome
from search.workers.racing import Race
from storage import Measurement, StudyKey, Trial
from storage.pareto import dominated_area


@dataclass(frozen=True)
class Variant:
    """A search with some parts of ours, and an evaluation that has one of the table's costs.

    `first` is measured after the baselines.
    """

    sampler: str = "auto"
    baselines: bool = True
    prefix: bool = True
    race: bool = True
    dedup: bool = True
    evaluation: str = "batched"
    first: tuple[PruningConfig, ...] = ()


@dataclass(frozen=True)
class Run:
    """One replayed search: seconds and share of the exhaustive hypervolume after each trial."""

    seconds: np.ndarray
    share: np.ndarray

    def until(self, share: float) -> float:
        """Return the seconds to this share; infinite if it was not reached."""
        reached = np.flatnonzero(self.share >= share)
        return float(self.seconds[reached[0]]) if len(reached) else float("inf")


class _Store:
    """A store that keeps nothing, because a replay ends within seconds."""

    def add(self, study_id: int, trial: Trial) -> None: ...


class ReplayPool:
    """Stands in for `search.workers.pool.Pool`: results come from the table, at the simulated time."""

    def __init__(self, table: ScoreTable, variant: Variant) -> None:
        self._table, self._variant, self._rows = table, variant, table.index()
        batched = variant.evaluation == "batched"
        self._workers = table.meta["cores"] if batched else 1  # a plain loop gives all cores to one trial
        self._free = [table.meta["prepare"] if batched else 0.0] * self._workers
        self._kept = [0] * self._workers  # layers that a worker's prefix cache holds, from the first one on
        self._queue: list[tuple[float, int, Outcome]] = []
        self._jobs = 0
        self.now, self._left = 0.0, time.perf_counter()

    @property
    def running(self) -> int:
        return len(self._queue)

    @property
    def has_room(self) -> bool:
        return self.running < 2 * self._workers

    def prefers(self, benchmark: str) -> bool:
        return True

    def submit(self, job: Job) -> None:
        self._advance()
        worker = self._free.index(min(self._free))
        outcome = self._measured(job, worker)
        seconds = outcome.measurement.seconds if outcome.measurement else 0.0
        self._free[worker] = max(self._free[worker], self.now) + seconds
        self._jobs += 1
        heapq.heappush(self._queue, (self._free[worker], self._jobs, outcome))
        self._left = time.perf_counter()

    def finished(self, timeout: float) -> Iterator[Outcome]:
        self._advance()
        done, _, outcome = heapq.heappop(self._queue)
        self.now = max(self.now, done)
        self._left = time.perf_counter()
        yield outcome

    def _advance(self) -> None:
        """Add the driver's own time to the simulated clock."""
        self.now += time.perf_counter() - self._left
        self._left = time.perf_counter()

    def _measured(self, job: Job, worker: int) -> Outcome:
        table = self._table
        if job.timed:
            return Outcome(job)  # latencies come after the search, which is all that is compared
        row = self._rows[SearchSpace.effect_key(job.config, table.meta["image_tokens"])]
        shared = job.config.cuts[0].layer if self._variant.prefix and job.config.cuts else 0
        kept, self._kept[worker] = min(shared, self._kept[worker]), max(shared, self._kept[worker])
        whole = table.seconds(self._variant.evaluation, row, kept)
        spent: dict[str, Any] = {name: float(values[row]) for name, values in table.spent.items()}
        scores, n = table.scores[row], table.scores.shape[1]
        race = Race(job.rivals, spent["flops"], spent["paper_flops"], table.groups)
        answered: list[int] = []
        for chunk in table.meta["chunks"]:
            if answered and race(answered, scores[answered].tolist()):
                break
            answered += chunk
        measurement = Measurement(
            **spent,
            accuracy=float(scores[answered].mean()),
            n=len(answered),
            scores=tuple(scores.tolist()),
            seconds=whole * len(answered) / n,
        )
        return Outcome(job, measurement, race.reason)


def replay(table: ScoreTable, variant: Variant, seed: int, budget: int) -> Run:
    """Replay one search."""
    pool = ReplayPool(table, variant)
    store: Any = _Store()
    study = Study(
        table.space,
        table.baselines if variant.baselines else [],
        table.meta["image_tokens"],
        variant.sampler,
        seed,
        workers=table.meta["cores"],
        dedup=variant.dedup,
        warm_starts=[(config, "flow") for config in variant.first],
        goals=Goals(reference=100.0),  # the share below is against accuracy 0
    )
    meta = table.meta
    key = StudyKey(meta["model"], meta["weights_digest"], meta["benchmark"], meta["split"], meta["n"], seed, "")
    run = StudyRun(key, 0, study, budget, [], StoreWriter(store), race=variant.race)
    points: list[tuple[float, float]] = []
    seconds: list[float] = []
    shares: list[float] = []
    best = exhaustive(table)

    def record(_: StudyRun, trial: Trial) -> None:
        if trial.complete:
            points.append((trial.flops_ratio, trial.accuracy))
        seconds.append(pool.now)
        shares.append(dominated_area(points) / best)

    run.on_trial = record
    Driver(pool, [run]).run()
    return Run(np.array(seconds), np.array(shares))


def nearest(table: ScoreTable, config: PruningConfig) -> PruningConfig:
    """Return the nearest configuration of the table with the same criteria, layers as parts of the depth."""

    def distance(other: PruningConfig) -> float:
        layers = abs(config.k1 - other.k1) + abs(config.k2 - other.k2)
        return layers / table.meta["layers"] + (abs(config.r1 - other.r1) + abs(config.r2 - other.r2)) / 100

    criteria = (config.phi_shallow, config.phi_deep)
    return min((c for c in table.configs if (c.phi_shallow, c.phi_deep) == criteria), key=distance)


def exhaustive(table: ScoreTable) -> float:
    """Return the hypervolume of the whole table."""
    return dominated_area(list(zip(table.spent["flops_ratio"].tolist(), table.scores.mean(1).tolist(), strict=True)))
