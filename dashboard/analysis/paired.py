"""Two configurations on the same questions: which questions one of them loses and wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from objectives.statistics import estimates
from objectives.statistics.estimates import Interval


@dataclass(frozen=True)
class PairedScores:
    """One configuration against another on the `n` questions that both were asked.

    `lost` and `won` are question numbers, the largest changes first. `difference` is the mean difference of scores
    with its 95 % paired bootstrap interval, `p` the p-value of McNemar's test, None for scores between 0 and 1.
    """

    n: int
    lost: tuple[int, ...]
    won: tuple[int, ...]
    difference: Interval
    p: float | None


def compare(scores: Sequence[float], others: Sequence[float]) -> PairedScores | None:
    """Return how `scores` differ from `others`, question by question; None where no question has both."""
    size = min(len(scores), len(others))
    ours, theirs = np.array(scores[:size], dtype=float), np.array(others[:size], dtype=float)
    shared = np.flatnonzero(np.isfinite(ours) & np.isfinite(theirs))
    if not len(shared):
        return None
    change = ours[shared] - theirs[shared]
    order = np.argsort(change, kind="stable")
    lost = tuple(int(shared[i]) for i in order if change[i] < 0)
    won = tuple(int(shared[i]) for i in order[::-1] if change[i] > 0)
    comparison = estimates.compare(ours[shared].tolist(), theirs[shared].tolist())
    return PairedScores(len(shared), lost, won, comparison.difference, comparison.p)
