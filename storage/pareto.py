"""The Pareto front of a study (least cost, most value), its hypervolume and its operating points. No SQL."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from storage.confirmation import MARGIN
from storage.records import Trial


def front(trials: Iterable[Trial], cost: str = "flops", value: str = "accuracy") -> list[Trial]:
    """Return the trials that no other trial dominates, by rising cost (and therefore rising value).

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


def dense_trial(trials: Iterable[Trial]) -> Trial | None:
    """Return the measurement of the dense model, once there is one."""
    return next((trial for trial in trials if trial.origin == "dense" and trial.complete), None)


def cheapest_within(members: Sequence[Trial], dense: Trial | None, margin: float = MARGIN) -> Trial | None:
    """Return the first of a front's members that loses at most `margin` (of 1) against dense; None without dense."""
    if dense is None:
        return None
    floor = dense.accuracy - margin - 1e-12
    return next((trial for trial in members if trial.accuracy >= floor), None)


def hypervolume(trials: Sequence[Trial]) -> float:
    """Return the area between the front and the reference point (FLOPs ratio 1, accuracy 0); at most 1."""
    return dominated_area([(t.flops_ratio, t.accuracy) for t in front(trials)])


def dominated_area(points: Sequence[tuple[float, float]]) -> float:
    """Return the exact area between points (FLOPs ratio, accuracy) and the reference point (1, 0)."""
    return float(moocore.hypervolume(np.array(points) * [1, -1], ref=[1.0, 0.0])) if len(points) else 0.0


def best_at_half(trials: Sequence[Trial]) -> float | None:
    """Return the best accuracy (0..1) of complete trials with at most half of dense's FLOPs; None without any."""
    return max((t.accuracy for t in trials if t.complete and t.flops_ratio <= 0.5), default=None)


@dataclass(frozen=True)
class OperatingPoint:
    """A point of a front that someone would deploy.

    `slug` is for file names, `name` for people; `margin` (of 1) is what a preset from there may lose against dense.
    """

    slug: str
    name: str
    margin: float = MARGIN


WITHIN_MARGINS = (
    OperatingPoint("within-0.5", "cheapest within 0.5 points of dense", 0.005),
    OperatingPoint("within-1", "cheapest within 1 point of dense", 0.01),
    OperatingPoint("within-2", "cheapest within 2 points of dense", 0.02),
)


def operating_points(members: Sequence[Trial], dense: Trial) -> list[tuple[OperatingPoint, Trial]]:
    """Return the operating points of a front that have a member other than dense, with that member.

    Several points may have the same member. They are chosen by the search's own estimates, as a user would.

    Args:
        members: a front by rising cost.
    """
    chosen = [(point, cheapest_within(members, dense, point.margin)) for point in WITHIN_MARGINS]
    return [(point, trial) for point, trial in chosen if trial is not None and trial.origin != "dense"]
