"""Which configurations of a search hold what a place on its front promises, by further questions.

A search's estimates rest on few questions, the same for all of its trials, so the cheapest that seems good is
mostly luck. Here the likely ones answer further validation questions, from the cheapest on, until every
place is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from objectives.statistics import Interval
from search.intervals import difference_interval
from search.places import KNEE, NOT_WORSE, WITHINS, Place, knee
from storage import Confirmation, Trial
from storage.pareto import front

SLACK = max(place.within for place in WITHINS)  # of accuracy: a larger loss fits no place
MOST = 16  # configurations of a study that are screened, beside its landmarks


@dataclass(frozen=True)
class Screened:
    """A configuration's difference to dense on questions that its search did not ask; `ended` tells that it
    answered all of them."""

    trial: Trial
    difference: Interval
    ended: bool = True

    def likely(self, place: Place) -> bool:
        """Whether the estimate fits the place."""
        return self.ended and self.difference.mean >= (0 if place is NOT_WORSE else -place.within)

    def surely(self, place: Place) -> bool:
        """Whether the whole interval keeps the place's promise, too."""
        return self.likely(place) and self.difference.low > -place.within


def screened(trial: Trial, found: Confirmation, dense: Confirmation, first: int) -> Screened:
    """What `found` and `dense` say of all questions after the `first` ones, which the search asked."""
    if found.n < dense.n:  # given up early
        return Screened(trial, Interval(-1.0, -1.0, 1.0), ended=False)
    return Screened(trial, difference_interval(found.scores[first:], dense.scores[first:], graded=True))


def likely(trials: Iterable[Trial], dense: Trial, most: int = MOST) -> list[Trial]:
    """Those that may fit a place, by rising FLOPs: cheaper than dense, and by the upper end of their interval
    not more than `SLACK` below it. Of each `most`-th part of their range of FLOPs, on a log scale, only the
    most accurate is taken, and the settings beside which every front stands."""
    floor = dense.accuracy - SLACK
    able = [t for t in trials if t.complete and t.flops < dense.flops and t.accuracy_high >= floor]
    edges = np.geomspace(min((t.flops for t in able), default=1.0), dense.flops, most + 1)
    parts: dict[int, Trial] = {}
    for trial in sorted(able, key=lambda t: (-t.accuracy, t.flops, t.number)):
        parts.setdefault(int(np.searchsorted(edges, trial.flops, side="right")), trial)
    landmarks = [t for t in able if t.origin not in ("sampler", "transfer")]
    chosen = {trial.number: trial for trial in [*parts.values(), *landmarks]}
    return sorted(chosen.values(), key=lambda t: (t.flops, t.number))


def screened_places(
    trials: Sequence[Trial], dense: Trial, measure: Callable[[Trial], Screened]
) -> list[tuple[Place, Trial]]:
    """Each place with the cheapest configuration that surely keeps its promise, else with the cheapest that
    is likely to; places without either are left out. The knee is the search's own."""
    seen: list[Screened] = []
    places = (*WITHINS, NOT_WORSE)
    for trial in likely(trials, dense):
        seen.append(measure(trial))
        if all(any(one.surely(place) for one in seen) for place in places):
            break
    found = [(place, _cheapest(seen, place)) for place in places] + [(KNEE, knee(front(trials)))]
    return [(place, trial) for place, trial in found if trial is not None and trial.origin != "dense"]


def _cheapest(seen: Sequence[Screened], place: Place) -> Trial | None:
    sure = (one.trial for one in seen if one.surely(place))
    return next(sure, next((one.trial for one in seen if one.likely(place)), None))
