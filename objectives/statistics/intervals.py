"""95 % intervals that a preset may promise: of an accuracy, and of a paired difference to dense.

Wilson's interval and the bootstrap, which the search shows, hold on average; where scores are near their
bound or hardly differ from dense's, as those of good presets, they hold less often than they say. These hold
there too (`python -m bench.coverage`).

Questions about one image hang together, so they count as fewer: `groups` names what belongs together, and n
is divided by how much larger that makes the variance of the mean (Korn and Graubard, 1998).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from objectives.statistics.estimates import Interval

_LEVEL = 0.95
# Counts come in whole numbers, so an interval of nominal 95 % can hold 93 % of the time (n = 500, 4 lost);
# at this nominal level it holds at least 95 % for 100 to 1,000 questions of which 0.4 to 10 % changed.
_Z = 2.1083583991691075  # the (1 + 0.965) / 2 quantile of the normal distribution

Groups = Sequence[Hashable] | None


def accuracy_interval(scores: Sequence[float], groups: Groups = None, *, graded: bool = False) -> Interval:
    """Clopper and Pearson's interval of a mean of scores in [0, 1]; Student's where scores are `graded`
    without such bounds (CIDEr).

    Credits between 0 and 1 count as parts of a right answer: their variance is at most that of right-or-wrong
    scores of the same mean.
    """
    from scipy import stats  # slow; whoever only shows estimates does without

    values = np.asarray(scores, dtype=float)
    if graded:
        found = _student(values, groups)
        return Interval(found.mean, max(0.0, found.low), max(found.mean, min(1.0, found.high)))
    mean, n = float(values.mean()), _effective(values, groups)
    right, tail = n * mean, (1 - _LEVEL) / 2
    low = float(stats.beta.ppf(tail, right, n - right + 1)) if right > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, right + 1, n - right)) if right < n else 1.0
    return Interval(mean, min(low, mean), max(high, mean))


def difference_interval(
    scores: Sequence[float], others: Sequence[float], groups: Groups = None, *, graded: bool = False
) -> Interval:
    """Tango's score interval of the mean of `scores - others` (Statistics in Medicine 1998); Student's where
    scores are `graded` without bounds.

    A credit that changes by a part counts as that part of a changed answer.
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
        return _tango(gained, lost, n, delta)

    edge = 1 - 1e-9
    low = optimize.brentq(lambda d: excess(d) - _Z, -edge, mean) if excess(-edge) > _Z else -1.0
    high = optimize.brentq(lambda d: excess(d) + _Z, mean, edge) if excess(edge) < -_Z else 1.0
    return Interval(float(values.mean()), min(float(low), mean), max(float(high), mean))


def _tango(gained: float, lost: float, n: float, delta: float) -> float:
    """The score statistic of the difference `delta`, with its nuisance at its likeliest."""
    a, c = 2 * n, -lost * delta * (1 - delta)
    b = -gained - lost + (2 * n - gained + lost) * delta
    nuisance = (np.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * nuisance + delta * (1 - delta))
    distance = gained - lost - n * delta
    if variance > 1e-12:
        return float(distance / np.sqrt(variance))
    return float(np.copysign(np.inf, distance)) if abs(distance) > 1e-9 else 0.0


def _student(values: np.ndarray, groups: Groups) -> Interval:
    from scipy import stats

    mean, spread, degrees = float(values.mean()), *_spread(values, groups)
    half = float(stats.t.ppf((1 + _LEVEL) / 2, degrees)) * spread if degrees else float("inf")
    return Interval(mean, mean - half, mean + half)


def _effective(values: np.ndarray, groups: Groups) -> float:
    """How many independent questions these are worth; at most as many as they are."""
    (alone, _), (together, _) = _spread(values, None), _spread(values, groups)
    return len(values) / max(1.0, (together / alone) ** 2) if alone > 0 else float(len(values))


def _spread(values: np.ndarray, groups: Groups) -> tuple[float, int]:
    """Standard error of the mean between groups, and its degrees of freedom."""
    n = len(values)
    _, member = np.unique([str(g) for g in groups] if groups is not None else np.arange(n), return_inverse=True)
    sums = np.bincount(member, values - values.mean())
    count = len(sums)
    correction = count / (count - 1) if count > 1 else 1.0
    return float(np.sqrt(correction * np.square(sums).sum())) / n, count - 1
