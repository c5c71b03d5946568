"""Configurations as arrays: rows of indices to draw and to vary, and what they leave in each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import IntDistribution

from search.space import SearchSpace, choices
from search.surrogate import Points

_STEP = 0.15  # of a range, by about which a neighbor differs in a parameter
_CHANGED = 0.3  # of the parameters


class Axes:
    """A space as the choices of each parameter; a row holds the index of one choice each, (parameters,)."""

    def __init__(self, space: SearchSpace) -> None:
        self.distributions = space.distributions
        self._layers = space.layers
        self._choices = {name: choices(bounds) for name, bounds in self.distributions.items()}
        self._sizes = np.array([len(each) for each in self._choices.values()])
        self._ordered = np.array([isinstance(d, IntDistribution) for d in self.distributions.values()])

    def row(self, params: Mapping[str, Any]) -> np.ndarray:
        """Of a trial's parameters."""
        return np.array([choices.index(params[name]) for name, choices in self._choices.items()])

    def params(self, row: np.ndarray) -> dict[str, Any]:
        """The reverse of `row`."""
        return {name: choices[at] for (name, choices), at in zip(self._choices.items(), row, strict=True)}

    def drawn(self, n: int, chance: np.random.Generator) -> np.ndarray:
        """(n, parameters) uniformly at random."""
        return chance.integers(0, self._sizes, (n, len(self._sizes)))

    def near(self, rows: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        """Each row with some parameters changed: numbers by a small step, criteria to any."""
        steps = np.rint(chance.normal(0, np.maximum(1, _STEP * self._sizes), rows.shape)).astype(int)
        moved = np.clip(rows + steps, 0, self._sizes - 1)
        changed = np.where(self._ordered, moved, self.drawn(len(rows), chance))
        return np.where(chance.random(rows.shape) < _CHANGED, changed, rows)

    def points(self, rows: np.ndarray) -> Points:
        """What (N, parameters) configurations leave in each layer, and by which criteria: these matter less
        where a cut drops or keeps nearly all."""
        k1, gap, r1, r2 = (self._values(rows, name)[:, None] for name in ("k1", "gap", "r1", "r2"))
        first, second, layer = 1 - r1 / 100, 1 - r2 / 100, np.arange(self._layers)
        k2 = np.minimum(k1 + gap, self._layers - 1)
        shares = np.where(layer < k1, 1.0, np.where(layer < k2, first, first * second))
        shallow = self._one_hot(rows, "phi_shallow") * np.sqrt(4 * first * (1 - first))
        deep = self._one_hot(rows, "phi_deep") * np.sqrt(4 * second * (1 - second) * first)
        return Points(shares, shallow, deep)

    def _column(self, rows: np.ndarray, name: str) -> np.ndarray:
        return rows[:, list(self._choices).index(name)]

    def _values(self, rows: np.ndarray, name: str) -> np.ndarray:
        return np.array(self._choices[name])[self._column(rows, name)]

    def _one_hot(self, rows: np.ndarray, name: str) -> np.ndarray:
        return np.eye(len(self._choices[name]))[self._column(rows, name)]
