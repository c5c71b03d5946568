"""The Pareto front of a study: least cost, most value. Pure, no SQL."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from storage.records import Trial


def front(trials: Iterable[Trial], cost: str = "flops", value: str = "accuracy") -> list[Trial]:
    """Trials that no other trial beats, by rising cost (and therefore rising value).

    `cost` and `value` name numeric fields of `Trial`; cost is minimized, value maximized. Failed trials and
    those where either field is NaN or infinite take no part. A trial is left out when another costs no more
    and earns no less, one of them strictly. Of trials equal in both, only the one with the lowest number
    stays, so every member is a different point. An unknown field raises AttributeError.
    """
    points = [
        (float(getattr(trial, cost)), -float(getattr(trial, value)), trial.number, trial)
        for trial in trials
        if trial.complete
    ]
    points = [point for point in points if math.isfinite(point[0]) and math.isfinite(point[1])]
    points.sort(key=lambda point: point[:3])
    members: list[Trial] = []
    best = -math.inf
    for _, negated, _, trial in points:
        if -negated > best:
            best = -negated
            members.append(trial)
    return members


def cheapest_within(members: Sequence[Trial], dense: Trial | None, drop: float = 0.01) -> Trial | None:
    """The first of a front's members that is at most `drop` (of 1) less accurate than dense; None without
    dense."""
    if dense is None:
        return None
    floor = dense.accuracy - drop - 1e-12
    return next((trial for trial in members if trial.accuracy >= floor), None)
