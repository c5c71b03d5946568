"""Intervals for accuracies and for differences of two configurations on the same questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from objectives.statistics.resampling import mean_interval

_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def wilson(mean: float, n: int) -> Interval:
    """Return the 95 % Wilson score interval of a mean of `n` scores in [0, 1].

    It is made for right-or-wrong scores. The variance of partial credits (VQA accuracy) is at most that of
    right-or-wrong scores with the same mean, so the interval is wide enough for them.
    """
    if n < 1:
        raise ValueError(f"got {n} scores; an interval needs at least one")
    center = (mean + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(mean * (1 - mean) / n + _Z**2 / (4 * n**2))
    return Interval(mean, max(0.0, float(center - half)), min(1.0, float(center + half)))


def interval(scores: Sequence[float], *, graded: bool = False) -> Interval:
    """Return the mean of scores with its 95 % interval: Wilson's, or the bootstrap's for `graded` scores."""
    if not graded:
        return wilson(sum(scores) / len(scores) if scores else 0.0, len(scores))
    if not scores:
        raise ValueError("got 0 scores; an interval needs at least one")
    return _bootstrap(np.asarray(scores, dtype=float))


def mcnemar(gained: int, lost: int) -> float:
    """Return the exact two-sided p-value of McNemar's test, for questions that only one configuration has right."""
    total = gained + lost
    tail = sum(math.comb(total, i) for i in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / 2**total)


@dataclass(frozen=True)
class Comparison:
    """The difference of two accuracies on the same questions, and McNemar's p-value; None for partial credits."""

    difference: Interval
    p: float | None


def compare(scores: Sequence[float], others: Sequence[float]) -> Comparison:
    """Return how much better the configuration with `scores` is than that with `others`."""
    difference = paired_difference(scores, others)
    if not {*scores, *others} <= {0.0, 1.0}:
        return Comparison(difference, None)
    gained = sum(s > o for s, o in zip(scores, others, strict=True))
    lost = sum(s < o for s, o in zip(scores, others, strict=True))
    return Comparison(difference, mcnemar(gained, lost))


def paired_difference(scores: Sequence[float], others: Sequence[float]) -> Interval:
    """Return the mean of `scores - others` on the same questions, with its 95 % paired bootstrap interval."""
    if len(scores) != len(others) or not len(scores):
        got = f"got {len(scores)} and {len(others)} scores"
        raise ValueError(f"{got}; expected two equally long, non-empty lists")
    differences = np.asarray(scores, dtype=float) - np.asarray(others, dtype=float)
    return _bootstrap(differences)


def _bootstrap(values: np.ndarray) -> Interval:
    return Interval(float(values.mean()), *mean_interval(values))
