"""The percentile bootstrap: intervals of means over questions that are drawn anew, with replacement."""

from __future__ import annotations

from typing import Any

import numpy as np

DRAWS = 10_000
_TAILS = (0.025, 0.975)
_DISTINCT = 500


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean of (n,) values."""
    rng = np.random.default_rng(0)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < _DISTINCT:
        means = rng.multinomial(len(values), counts / len(values), size=DRAWS) @ distinct / len(values)
    else:  # nearly all values differ: a count of each in each draw would not fit in memory
        means = np.array([values[rng.integers(len(values), size=len(values))].mean() for _ in range(DRAWS)])
    low, high = percentiles(means)
    return float(low), float(high)


def percentiles(draws: np.ndarray) -> tuple[Any, Any]:
    """Return the bounds of the 95 % interval of (draws, ...) values: low and high, each of shape (...)."""
    low, high = np.quantile(draws, _TAILS, axis=0)
    return low, high


class Resampling:
    """Draws of `n` questions for statistics that must see the same draws, so that pairs stay pairs."""

    def __init__(self, n: int) -> None:
        counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=DRAWS)
        self._weights = counts / n

    def draws(self, values: np.ndarray) -> np.ndarray:
        """Return the means of (n, ...) values in each draw, shape (draws, ...)."""
        flat = values.reshape(len(values), -1).astype(np.float64)
        return (self._weights @ flat).reshape(-1, *values.shape[1:])
