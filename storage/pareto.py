"""The Pareto front of a study: least cost, most value. Pure, no SQL."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from storage.confirmation import WITHIN
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


def hypervolume(trials: Sequence[Trial]) -> float:
    """Area between the front and the point (FLOPs ratio 1, accuracy 0); at most 1."""
    return dominated_area([(t.flops_ratio, t.accuracy) for t in front(trials)])


def dominated_area(points: Sequence[tuple[float, float]]) -> float:
    """Return the exact area between points (FLOPs ratio, accuracy) and the point (1, 0)."""
    return float(moocore.hypervolume(np.array(points) * [1, -1], ref=[1.0, 0.0])) if len(points) else 0.0


def best_at_half(trials: Sequence[Trial]) -> float | None:
    """The best accuracy (0..1) among complete trials of at most half the dense FLOPs; None without any."""
    return max((t.accuracy for t in trials if t.complete and t.flops_ratio <= 0.5), default=None)


@dataclass(frozen=True)
class Place:
    """A place on a front: `slug` for file names, `name` for people, `within` what a preset from there
    promises to lose at most against dense (of 1)."""

    slug: str
    name: str
    within: float = WITHIN


KNEE = Place("knee", "knee of the front")
NOT_WORSE = Place("not-worse", "cheapest not worse than dense")
WITHINS = (
    Place("within-0.5", "cheapest within 0.5 points of dense", 0.005),
    Place("within-1", "cheapest within 1 point of dense", 0.01),
    Place("within-2", "cheapest within 2 points of dense", 0.02),
)


def pick(members: Sequence[Trial], dense: Trial) -> list[tuple[Place, Trial]]:
    """The places of a front that have a member other than dense, with that member; several places may have
    the same one. They are chosen by the search's own estimates, as a user would.

    Args:
        members: a front by rising cost.
    """
    found = [(place, cheapest_within(members, dense, place.within)) for place in WITHINS]
    found += [(NOT_WORSE, cheapest_within(members, dense, 0.0)), (KNEE, knee(members))]
    return [(place, trial) for place, trial in found if trial is not None and trial.origin != "dense"]


def knee(members: Sequence[Trial]) -> Trial | None:
    """The member that lies farthest above the straight line between the front's ends, where FLOPs and
    accuracy are scaled to their ranges (Satopaa et al., "Kneedle", 2011); None if there are only ends."""
    if len(members) < 3:
        return None
    cost = np.array([t.flops for t in members])
    value = np.array([t.accuracy for t in members])
    above = (value - value[0]) / (value[-1] - value[0]) - (cost - cost[0]) / (cost[-1] - cost[0])
    return members[int(above.argmax())] if above.max() > 0 else None
