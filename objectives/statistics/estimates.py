"""Intervals for accuracies and for differences of two configurations on the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

_Z = float(stats.norm.ppf(0.975))
_DRAWS = 10_000
_DISTINCT = 500


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


def interval(scores: Sequence[float], *, graded: bool = False) -> Interval:
    """Mean with its 95 % interval: Wilson, or the bootstrap for `graded` scores (CIDEr, ANLS), whose spread
    has nothing to do with that of right-or-wrong ones."""
    if not graded:
        return wilson(sum(scores) / len(scores) if scores else 0.0, len(scores))
    if not scores:
        raise ValueError("got 0 scores; an interval needs at least one")
    return _bootstrap(np.asarray(scores, dtype=float), seed=0)


def mcnemar(scores: Sequence[float], others: Sequence[float]) -> float:
    """Exact two-sided p of McNemar's test: could two configurations be equally good that differ so?

    Counts the questions that one has right and the other wrong; for right-or-wrong scores on the same
    questions.
    """
    _check_pairs(scores, others)
    if not {*scores, *others} <= {0.0, 1.0}:
        raise ValueError("got scores between 0 and 1; McNemar's test compares right-or-wrong ones")
    gained = sum(s > o for s, o in zip(scores, others, strict=True))
    lost = sum(s < o for s, o in zip(scores, others, strict=True))
    return float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


@dataclass(frozen=True)
class Comparison:
    """One configuration against another on the same questions: the difference of their accuracies with its
    95 % paired bootstrap interval, and the exact p of McNemar's test, None for scores between 0 and 1."""

    difference: Interval
    p: float | None


def compare(scores: Sequence[float], others: Sequence[float]) -> Comparison:
    """How much better the configuration with `scores` is than that with `others`."""
    difference = paired_difference(scores, others)
    right_or_wrong = {*scores, *others} <= {0.0, 1.0}
    return Comparison(difference, mcnemar(scores, others) if right_or_wrong else None)


def paired_difference(scores: Sequence[float], others: Sequence[float], seed: int = 0) -> Interval:
    """Mean of `scores - others` on the same questions; 95 % paired bootstrap interval (10,000 draws)."""
    _check_pairs(scores, others)
    differences = np.asarray(scores, dtype=float) - np.asarray(others, dtype=float)
    return _bootstrap(differences, seed)


def _check_pairs(scores: Sequence[float], others: Sequence[float]) -> None:
    if len(scores) != len(others) or not len(scores):
        got = f"got {len(scores)} and {len(others)} scores"
        raise ValueError(f"{got}; expected two equally long, non-empty lists")


def _bootstrap(values: np.ndarray, seed: int) -> Interval:
    """Mean of (n,) values with its 95 % percentile interval over 10,000 draws of n with replacement."""
    rng = np.random.default_rng(seed)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < _DISTINCT:
        means = rng.multinomial(len(values), counts / len(values), size=_DRAWS) @ distinct / len(values)
    else:  # nearly all values differ: counting how often each is drawn would not fit in memory
        means = np.array([values[rng.integers(len(values), size=len(values))].mean() for _ in range(_DRAWS)])
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
