"""A tabulated benchmark as the population from which questions are drawn.

Each question that a way asks is one of the table's, drawn at random with replacement and the same for all
configurations. So there is no end of questions, no way sees the judge, and the judge is exact: the mean over the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bench.certify.tabulate import LongTable
from himap import PruningConfig
from search.certifying.chance import chance
from search.certifying.refine import Aim
from search.sampling.space import SearchSpace
from search.studies.study import Baseline
from storage.pareto import dominated_area

MARGINS, LEVEL, POOL = (0.005, 0.01, 0.02), 0.05, 2_000
SEARCHED, BUDGET = 120, 200  # questions of a trial, trials
JUDGED_WITHIN = 0.05  # of dense's accuracy


@dataclass(frozen=True)
class TablePopulation:
    """A table as a population.

    Attributes:
        table: its first configuration is dense.
    """

    table: LongTable

    @cached_property
    def scores(self) -> np.ndarray:
        """(configurations, questions), 0 to 1."""
        return self.table.scores / 100

    @cached_property
    def losses(self) -> np.ndarray:
        """(configurations,) true loss against dense."""
        means = self.scores.mean(1)
        return np.asarray(means[0] - means)

    @property
    def costs(self) -> np.ndarray:
        """(configurations,) FLOPs as parts of dense's."""
        return self.table.flops_ratio

    @cached_property
    def rows(self) -> dict[Any, int]:
        """Row of each effect."""
        return {self.effect(config): row for row, config in enumerate(self.table.configs)}

    @staticmethod
    def effect(config: PruningConfig) -> Any:
        """Return what tells two configurations of the table apart."""
        return SearchSpace.effect_key(config, [10_000])

    @property
    def baselines(self) -> list[Baseline]:
        """The baselines of a search, by origin."""
        return [(origin, PruningConfig.from_dict(values)) for origin, values in self.table.meta["baselines"]]

    def oracle(self, margin: float) -> float:
        """Return the least cost of a configuration whose true loss is within a margin."""
        return float(self.costs[self.losses <= margin + 1e-12].min())

    def certifiable(self, margin: float) -> float:
        """Return the least cost of a configuration that the whole pool certifies with a chance of at least 80 %."""
        losses, level = self.scores[0] - self.scores, Aim(MARGINS, LEVEL, POOL).test_level
        chances = chance(losses.clip(min=0).mean(1), (-losses).clip(min=0).mean(1), margin, POOL, level)
        return float(self.costs[chances >= 0.8].min(initial=1.0))

    def honest_cost(self, row: int | None, margin: float) -> float:
        """Return the cost of what is delivered; 1 where that is dense, or loses more than the margin."""
        holds = row is not None and self.losses[row] <= margin + 1e-12
        return float(self.costs[row]) if holds else 1.0

    def hypervolume(self, rows: list[int]) -> float:
        """Return the true area of configurations above dense - 5 points, as a part of the whole table's."""

        def area(chosen: Any) -> float:
            gains = JUDGED_WITHIN - self.losses[chosen]
            return dominated_area([(c, g) for c, g in zip(self.costs[chosen], gains, strict=True) if g > 0])

        return area(rows) / area(range(len(self.costs)))


class Questions:
    """Questions that one run draws: validation and test, each without end."""

    def __init__(self, population: TablePopulation, seed: int) -> None:
        self._scores = population.scores
        rng, n = np.random.default_rng([seed, 7]), population.scores.shape[1]
        self._columns = {split: rng.integers(0, n, 60_000) for split in ("validation", "test")}
        self.answers = {"validation": 0, "test": 0}

    def ask(self, split: str, start: int, stop: int, row: int) -> np.ndarray:
        """Return the scores of a configuration on questions `start` to `stop`, which count as asked."""
        self.answers[split] += stop - start
        return np.asarray(self._scores[row, self._columns[split][start:stop]])
