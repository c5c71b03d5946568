"""Configurations as arrays: rows of indices to draw and to vary, and what they leave in each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import IntDistribution

from search.sampling.gaussian_process import Points
from search.sampling.space import SearchSpace, choices

_STEP = 0.15  # of a range, by about which a neighbor differs in a parameter
_CHANGED = 0.3  # of the parameters


class Axes:
    """A space as the choices of each parameter; a row holds the index of one choice each, (parameters,).

    A place, (parameters,), holds the values themselves, and a criterion as its index. It may lie outside of
    the space, as that of a control does: criteria that are not searched are one more.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.distributions = space.distributions
        self._layers = space.layers
        self._choices = {name: choices(bounds) for name, bounds in self.distributions.items()}
        self._sizes = np.array([len(each) for each in self._choices.values()])
        self._ordered = np.array([isinstance(d, IntDistribution) for d in self.distributions.values()])
        names = list(self._choices)
        self._at = [names.index(name) for name in ("k1", "gap", "r1", "r2", "phi_shallow", "phi_deep")]
        self._tables = [
            np.array(each) if ordered else np.arange(len(each))
            for each, ordered in zip(self._choices.values(), self._ordered, strict=True)
        ]

    def place(self, params: Mapping[str, Any]) -> np.ndarray:
        """Of a configuration's parameters, in the space or not."""
        found = [
            params[name] if ordered else each.index(params[name]) if params[name] in each else len(each)
            for (name, each), ordered in zip(self._choices.items(), self._ordered, strict=True)
        ]
        return np.array(found)

    def places(self, rows: np.ndarray) -> np.ndarray:
        """(N, parameters) of rows."""
        return np.stack([table[column] for table, column in zip(self._tables, rows.T, strict=True)], 1)

    def rows(self, places: np.ndarray) -> np.ndarray:
        """(N, parameters) the nearest in the space."""
        columns = zip(self._tables, places.T, strict=True)
        return np.stack([np.abs(column[:, None] - table).argmin(1) for table, column in columns], 1)

    def params(self, row: np.ndarray) -> dict[str, Any]:
        """Of a row, as a trial has them."""
        return {name: choices[at] for (name, choices), at in zip(self._choices.items(), row, strict=True)}

    def drawn(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, parameters) rows, uniformly at random."""
        return rng.integers(0, self._sizes, (n, len(self._sizes)))

    def near(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Each row with some parameters changed: numbers by a small step, criteria to any."""
        steps = np.rint(rng.normal(0, np.maximum(1, _STEP * self._sizes), rows.shape)).astype(int)
        moved = np.clip(rows + steps, 0, self._sizes - 1)
        changed = np.where(self._ordered, moved, self.drawn(len(rows), rng))
        return np.where(rng.random(rows.shape) < _CHANGED, changed, rows)

    def points(self, places: np.ndarray) -> Points:
        """What (N, parameters) configurations leave in each layer, and by which criteria: these matter less
        where a cut drops or keeps nearly all."""
        k1, gap, r1, r2, by, then = (places[:, at, None] for at in self._at)
        first, second, layer = 1 - r1 / 100, 1 - r2 / 100, np.arange(self._layers)
        k2 = np.minimum(k1 + gap, self._layers - 1)
        shares = np.where(layer < k1, 1.0, np.where(layer < k2, first, first * second))
        shallow = self._one_hot(by, "phi_shallow") * np.sqrt(4 * first * (1 - first))
        deep = self._one_hot(then, "phi_deep") * np.sqrt(4 * second * (1 - second) * first)
        return Points(shares, shallow, deep)

    def _one_hot(self, criteria: np.ndarray, name: str) -> np.ndarray:
        """Of indices, (N, 1)."""
        return (criteria == np.arange(len(self._choices[name]) + 1)).astype(float)
