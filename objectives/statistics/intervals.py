"""95 % intervals for certificates: of an accuracy, and of a paired difference to dense; of a median for speed-ups.

Wilson's interval and the bootstrap cover the truth 95 % of the time on average. They cover it less often where scores
are near their bound or hardly differ from dense's, as those of good presets. The intervals here keep their coverage
there (`python -m bench.coverage`).

Scores of questions about one image are correlated. `groups` names the questions that belong together; n is divided by
the design effect, the factor by which groups raise the variance of the mean (Korn and Graubard, 1998).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from objectives.statistics.estimates import Interval

_LEVEL = 0.95
# Counts are whole numbers, so the coverage of a nominal 95 % can be 93 % (n = 500, 4 lost). At this nominal level it
# is at least 95 % for 100 to 1,000 questions of which 0.4 to 10 % changed.
_Z = 2.1083583991691075  # the (1 + 0.965) / 2 quantile of the normal distribution

Groups = Sequence[Hashable] | None


def accuracy_interval(scores: Sequence[float], groups: Groups = None, *, graded: bool = False) -> Interval:
    """Return Clopper and Pearson's interval of a mean of scores in [0, 1].

    Credits between 0 and 1 count as parts of a right answer: their variance is at most that of right-or-wrong
    scores with the same mean.

    `graded` scores (CIDEr), whose variance has no such bound, take Student's interval.
    """
    from scipy import stats  # slow to import, and the dashboard imports this package

    values = np.asarray(scores, dtype=float)
    if graded:
        span = _student(values, groups)
        return Interval(span.mean, max(0.0, span.low), max(span.mean, min(1.0, span.high)))
    mean, n = float(values.mean()), _effective(values, groups)
    right, tail = n * mean, (1 - _LEVEL) / 2
    low = float(stats.beta.ppf(tail, right, n - right + 1)) if right > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, right + 1, n - right)) if right < n else 1.0
    return Interval(mean, min(low, mean), max(high, mean))


def median_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Return the median of at least 6 values with its distribution-free interval, of order statistics.

    Raises:
        ValueError: fewer than 6 values, whose whole range holds the median less than 95 % of the time.
    """
    ordered, n = np.sort(values), len(values)
    below = np.cumsum([math.comb(n, i) for i in range(n // 2)]) / 2**n
    cut = int((below <= (1 - _LEVEL) / 2).sum())
    if not cut:
        raise ValueError(f"got {n} values; the interval of a median needs at least 6")
    return float(np.median(ordered)), float(ordered[cut - 1]), float(ordered[n - cut])


def difference_interval(
    scores: Sequence[float], others: Sequence[float], groups: Groups = None, *, graded: bool = False
) -> Interval:
    """Return Tango's score interval of the mean of `scores - others` (Statistics in Medicine 1998).

    A credit that changes by a part counts as that part of a changed answer. `graded` scores take Student's interval.
    """
    from scipy import optimize

    values = np.asarray(scores, dtype=float) - np.asarray(others, dtype=float)
    if graded:
        return _student(values, groups)
    share = _effective(values, groups) / len(values)
    n, gained = share * len(values), share * float(values.clip(min=0).sum())
    lost = share * float((-values).clip(min=0).sum())
    mean = (gained - lost) / n

    def excess(delta: float) -> float:
        return float(tango_score(gained, lost, n, delta))

    edge = 1 - 1e-9
    low = optimize.brentq(lambda d: excess(d) - _Z, -edge, mean) if excess(-edge) > _Z else -1.0
    high = optimize.brentq(lambda d: excess(d) + _Z, mean, edge) if excess(edge) < -_Z else 1.0
    return Interval(float(values.mean()), min(float(low), mean), max(float(high), mean))


def tango_score(gained: Any, lost: Any, n: float, delta: float) -> Any:
    """Return the score statistic of the difference `delta`, at the maximum likelihood of the nuisance parameter.

    Args:
        gained, lost: numbers, or arrays of one shape, which is that of the result.
    """
    a, c = 2 * n, -lost * delta * (1 - delta)
    b = -gained - lost + (2 * n - gained + lost) * delta
    nuisance = (np.sqrt(np.maximum(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * nuisance + delta * (1 - delta))
    distance = gained - lost - n * delta
    certain = np.where(np.abs(distance) > 1e-9, np.copysign(np.inf, distance), 0.0)
    return np.where(variance > 1e-12, distance / np.sqrt(np.maximum(variance, 1e-12)), certain)


def _student(values: np.ndarray, groups: Groups) -> Interval:
    from scipy import stats

    mean, spread, degrees = float(values.mean()), *_spread(values, groups)
    half = float(stats.t.ppf((1 + _LEVEL) / 2, degrees)) * spread if degrees else float("inf")
    return Interval(mean, mean - half, mean + half)


def _effective(values: np.ndarray, groups: Groups) -> float:
    """Return the effective number of independent questions, at most their true number."""
    (alone, _), (together, _) = _spread(values, None), _spread(values, groups)
    return len(values) / max(1.0, (together / alone) ** 2) if alone > 0 else float(len(values))


def _spread(values: np.ndarray, groups: Groups) -> tuple[float, int]:
    """Return the standard error of the mean between groups, and its degrees of freedom."""
    n = len(values)
    _, member = np.unique([str(g) for g in groups] if groups is not None else np.arange(n), return_inverse=True)
    sums = np.bincount(member, values - values.mean())
    count = len(sums)
    correction = count / (count - 1) if count > 1 else 1.0
    return float(np.sqrt(correction * np.square(sums).sum())) / n, count - 1
