"""Two configurations on the same questions: which were lost and won, and what that says. Pure, numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from objectives.statistics import estimates


@dataclass(frozen=True)
class Paired:
    """One configuration against another on the questions that both were asked.

    `lost` and `won` are question numbers, the largest changes first; `difference` the mean of score less
    score, with its 95 % paired bootstrap interval; `p` of McNemar's exact test, None for graded scores.
    """

    asked: int
    lost: tuple[int, ...]
    won: tuple[int, ...]
    difference: float
    low: float
    high: float
    p: float | None


def compare(scores: Sequence[float], others: Sequence[float]) -> Paired | None:
    """How `scores` differ from `others`, question by question; None where no question has both."""
    size = min(len(scores), len(others))
    ours, theirs = np.array(scores[:size], dtype=float), np.array(others[:size], dtype=float)
    asked = np.flatnonzero(np.isfinite(ours) & np.isfinite(theirs))
    if not len(asked):
        return None
    change = ours[asked] - theirs[asked]
    order = np.argsort(change, kind="stable")
    lost = tuple(int(asked[i]) for i in order if change[i] < 0)
    won = tuple(int(asked[i]) for i in order[::-1] if change[i] > 0)
    found = estimates.compare(ours[asked].tolist(), theirs[asked].tolist())
    span = found.difference
    return Paired(len(asked), lost, won, span.mean, span.low, span.high, found.p)
