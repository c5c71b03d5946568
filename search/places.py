"""Useful places on a front: what an export confirms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from storage import Trial
from storage.confirmation import WITHIN
from storage.pareto import cheapest_within


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
