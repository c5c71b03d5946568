"""By how much a configuration of known cost and uncertain accuracy is expected to raise the hypervolume."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr


def steps(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Which of N configurations are on their front, cheapest first."""
    order = np.lexsort((-accuracy, cost))
    best = np.maximum.accumulate(accuracy[order])
    members: np.ndarray = order[np.diff(best, prepend=-np.inf) > 0]
    return members


class Steps:
    """The front of measured configurations as a staircase, with the reference point it is measured against.

    Args:
        cost, accuracy: (N,) of those that keep all limits.
        most: cost of the reference point,
        floor: its accuracy,
        ceiling: the accuracy that nothing can exceed.

    Attributes:
        members: which of the N are steps, cheapest first.
    """

    def __init__(
        self, cost: np.ndarray, accuracy: np.ndarray, most: float, floor: float, ceiling: float
    ) -> None:
        self.members = steps(cost, accuracy)
        self._edges = np.concatenate([[-np.inf], cost[self.members], [np.inf]])
        self._levels = np.concatenate([[floor], accuracy[self.members]])
        self._most, self._ceiling = most, ceiling

    def expected_gain(self, cost: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Expected hypervolume improvement, (M,), of accuracies that are normal about `mean`, cut at the
        ceiling. Over each step's width a configuration adds what its accuracy exceeds the step by."""
        begin = np.maximum(self._edges[:-1], cost[:, None])
        widths = np.maximum(np.minimum(self._edges[1:], self._most) - begin, 0)
        heights = _excess(mean[:, None], deviation[:, None], self._levels)
        heights = heights - _excess(mean, deviation, self._ceiling)[:, None]
        gains: np.ndarray = (widths * heights).sum(1)
        return gains


def _excess(mean: np.ndarray, deviation: np.ndarray, level: Any) -> np.ndarray:
    """Of what a normal number exceeds a level by, or 0, the expectation."""
    z = (mean - level) / deviation
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    found: np.ndarray = deviation * (z * ndtr(z) + density)
    return found
