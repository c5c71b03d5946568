"""Intervals for accuracies and for differences of two configurations on the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

_Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def wilson(mean: float, n: int) -> Interval:
    """95 % Wilson score interval of a mean of `n` scores in [0, 1].

    Exact in form for right-or-wrong scores; for graded scores (VQA accuracy) their variance is at most that
    of right-or-wrong ones with the same mean, so the interval is wide enough.
    """
    if n < 1:
        raise ValueError(f"got {n} scores; an interval needs at least one")
    center = (mean + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(mean * (1 - mean) / n + _Z**2 / (4 * n**2))
    return Interval(mean, max(0.0, float(center - half)), min(1.0, float(center + half)))


def paired_difference(scores: Sequence[float], others: Sequence[float], seed: int = 0) -> Interval:
    """Mean of `scores - others` on the same questions; 95 % paired bootstrap interval (10,000 draws)."""
    if len(scores) != len(others) or not len(scores):
        got = f"got {len(scores)} and {len(others)} scores"
        raise ValueError(f"{got}; expected two equally long, non-empty lists")
    differences = np.asarray(scores, dtype=float) - np.asarray(others, dtype=float)
    rng = np.random.default_rng(seed)
    values, counts = np.unique(differences, return_counts=True)
    draws = rng.multinomial(len(differences), counts / len(differences), size=10_000)
    low, high = np.quantile(draws @ values / len(differences), [0.025, 0.975])
    return Interval(float(differences.mean()), float(low), float(high))
