"""Configurations as arrays: rows of indices to draw and to vary, and the tokens they leave in each layer."""

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
    """The choices of each parameter of a space.

    A row, (parameters,), holds the index of one choice of each parameter. A vector, (parameters,), holds the values
    themselves, of a criterion its index; it may lie outside the space, as a control does, whose criteria are one more.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.distributions = space.distributions
        self._layers = space.layers
        both = range(2 * space.layers)
        self._snapped = np.array([[space.snapped(k1, k2) for k2 in both] for k1 in both[: space.layers]])
        self._choices = {name: choices(bounds) for name, bounds in self.distributions.items()}
        self._sizes = np.array([len(values) for values in self._choices.values()])
        self._ordered = np.array([isinstance(d, IntDistribution) for d in self.distributions.values()])
        names = list(self._choices)
        self._at = [names.index(name) for name in ("k1", "gap", "r1", "r2", "phi_shallow", "phi_deep")]
        self._tables = [
            np.array(values) if ordered else np.arange(len(values))
            for values, ordered in zip(self._choices.values(), self._ordered, strict=True)
        ]

    def vector(self, params: Mapping[str, Any]) -> np.ndarray:
        """Return the vector of a configuration's parameters, inside the space or outside."""
        entries = [
            params[name] if ordered else values.index(params[name]) if params[name] in values else len(values)
            for (name, values), ordered in zip(self._choices.items(), self._ordered, strict=True)
        ]
        return np.array(entries)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of rows, (N, parameters)."""
        return np.stack([table[column] for table, column in zip(self._tables, rows.T, strict=True)], 1)

    def rows(self, vectors: np.ndarray) -> np.ndarray:
        """Return the nearest rows of the space, (N, parameters)."""
        columns = zip(self._tables, vectors.T, strict=True)
        return np.stack([np.abs(column[:, None] - table).argmin(1) for table, column in columns], 1)

    def params(self, row: np.ndarray) -> dict[str, Any]:
        """Return the parameters of a row, as a trial has them."""
        return {name: values[index] for (name, values), index in zip(self._choices.items(), row, strict=True)}

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return rows drawn uniformly at random, (n, parameters)."""
        return rng.integers(0, self._sizes, (n, len(self._sizes)))

    def neighbors(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return each row with some parameters changed: numbers by a small step, criteria to any."""
        steps = np.rint(rng.normal(0, np.maximum(1, _STEP * self._sizes), rows.shape)).astype(int)
        moved = np.clip(rows + steps, 0, self._sizes - 1)
        changed = np.where(self._ordered, moved, self.draw(len(rows), rng))
        return np.where(rng.random(rows.shape) < _CHANGED, changed, rows)

    def points(self, vectors: np.ndarray) -> Points:
        """Return what (N, parameters) configurations leave in each layer, and by which criteria.

        A criterion weighs less where its cut drops or keeps nearly all.
        """
        k1, gap, r1, r2, phi_shallow, phi_deep = (vectors[:, index, None] for index in self._at)
        first, second, layer = 1 - r1 / 100, 1 - r2 / 100, np.arange(self._layers)
        k1, k2 = np.moveaxis(self._snapped[k1.astype(int), (k1 + gap).astype(int)], -1, 0)
        shares = np.where(layer < k1, 1.0, np.where(layer < k2, first, first * second))
        shallow = self._one_hot(phi_shallow, "phi_shallow") * np.sqrt(4 * first * (1 - first))
        deep = self._one_hot(phi_deep, "phi_deep") * np.sqrt(4 * second * (1 - second) * first)
        return Points(shares, shallow, deep)

    def _one_hot(self, indices: np.ndarray, name: str) -> np.ndarray:
        """Return the one-hot codes of criteria, (N, criteria + 1), from their indices, (N, 1)."""
        return (indices == np.arange(len(self._choices[name]) + 1)).astype(float)
