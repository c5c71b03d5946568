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

    Raises:
        ValueError: no scores.
    """
    if n < 1:
        raise ValueError(f"got {n} scores; an interval needs at least one")
    center = (mean + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(mean * (1 - mean) / n + _Z**2 / (4 * n**2))
    return Interval(mean, max(0.0, float(center - half)), min(1.0, float(center + half)))


def interval(scores: Sequence[float], *, graded: bool = False) -> Interval:
    """Return the mean of scores with its 95 % interval.

    Args:
        graded: take the bootstrap in place of Wilson's interval, for scores (CIDEr, ANLS) whose variance is not
            bounded by that of right-or-wrong ones.

    Raises:
        ValueError: no scores.
    """
    if not graded:
        return wilson(sum(scores) / len(scores) if scores else 0.0, len(scores))
    if not scores:
        raise ValueError("got 0 scores; an interval needs at least one")
    return _bootstrap(np.asarray(scores, dtype=float))


def mcnemar(gained: int, lost: int) -> float:
    """Return the exact two-sided p-value of McNemar's test of two configurations on the same questions.

    Args:
        gained: questions that only the first configuration has right.
        lost: questions that only the second one has right.
    """
    total = gained + lost
    tail = sum(math.comb(total, i) for i in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / 2**total)


@dataclass(frozen=True)
class Comparison:
    """One configuration against another on the same questions.

    Attributes:
        difference: of their accuracies, with its 95 % paired bootstrap interval.
        p: the p-value of McNemar's test; None for scores between 0 and 1.
    """

    difference: Interval
    p: float | None


def compare(scores: Sequence[float], others: Sequence[float]) -> Comparison:
    """Return how much better the configuration with `scores` is than that with `others`.

    Raises:
        ValueError: no scores, or not as many of one as of the other.
    """
    difference = paired_difference(scores, others)
    if not {*scores, *others} <= {0.0, 1.0}:
        return Comparison(difference, None)
    gained = sum(s > o for s, o in zip(scores, others, strict=True))
    lost = sum(s < o for s, o in zip(scores, others, strict=True))
    return Comparison(difference, mcnemar(gained, lost))


def paired_difference(scores: Sequence[float], others: Sequence[float], seed: int = 0) -> Interval:
    """Return the mean of `scores - others` on the same questions, with its 95 % paired bootstrap interval.

    Raises:
        ValueError: no scores, or not as many of one as of the other.
    """
    if len(scores) != len(others) or not len(scores):
        got = f"got {len(scores)} and {len(others)} scores"
        raise ValueError(f"{got}; expected two equally long, non-empty lists")
    differences = np.asarray(scores, dtype=float) - np.asarray(others, dtype=float)
    return _bootstrap(differences, seed)


def _bootstrap(values: np.ndarray, seed: int = 0) -> Interval:
    return Interval(float(values.mean()), *mean_interval(values, seed))
