"""Screens configurations on further questions of their search's split, and finds the operating points among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from objectives.statistics.estimates import Interval
from objectives.statistics.intervals import difference_interval
from storage import Confirmation, Trial
from storage.pareto import KNEE, NOT_WORSE, WITHIN_MARGINS, OperatingPoint, front, knee

SLACK = max(point.margin for point in WITHIN_MARGINS)  # of accuracy: a larger loss fits no operating point
_MOST = 16  # configurations of a study that are screened, besides its baselines


@dataclass(frozen=True)
class Screened:
    """A configuration's difference to dense on questions that its search did not ask; `complete` if on all of them."""

    trial: Trial
    difference: Interval
    complete: bool = True

    def fits(self, point: OperatingPoint) -> bool:
        """Return whether the estimate stays within the point's margin."""
        return self.complete and self.difference.mean >= (0 if point is NOT_WORSE else -point.margin)

    def certifies(self, point: OperatingPoint) -> bool:
        """Return whether the whole interval stays within it, too."""
        return self.fits(point) and self.difference.low > -point.margin


def screened(trial: Trial, confirmation: Confirmation, dense: Confirmation, first: int) -> Screened:
    """Return the difference to dense on all questions after the `first` ones, which the search asked."""
    if confirmation.n < dense.n:  # given up early
        return Screened(trial, Interval(-1.0, -1.0, 1.0), complete=False)
    return Screened(trial, difference_interval(confirmation.scores[first:], dense.scores[first:], graded=True))


def worth_screening(trials: Iterable[Trial], dense: Trial) -> list[Trial]:
    """Return the trials that may fit an operating point, by rising FLOPs.

    They are cheaper than dense, and the upper end of their interval is at most `SLACK` below it. Of each of `_MOST`
    parts of their range of FLOPs, on a log scale, only the most accurate is taken, and every baseline.
    """
    floor = dense.accuracy - SLACK
    able = [t for t in trials if t.complete and t.flops < dense.flops and t.accuracy_high >= floor]
    edges = np.geomspace(min((t.flops for t in able), default=1.0), dense.flops, _MOST + 1)
    parts: dict[int, Trial] = {}
    for trial in sorted(able, key=lambda t: (-t.accuracy, t.flops, t.number)):
        parts.setdefault(int(np.searchsorted(edges, trial.flops, side="right")), trial)
    chosen = {trial.number: trial for trial in [*parts.values(), *(t for t in able if t.is_baseline)]}
    return sorted(chosen.values(), key=lambda t: (t.flops, t.number))


def screened_points(
    trials: Sequence[Trial], dense: Trial, measure: Callable[[Trial], Screened]
) -> list[tuple[OperatingPoint, Trial]]:
    """Return each operating point that has a configuration other than dense, with that configuration.

    It is the cheapest whose whole interval stays within the margin, else the cheapest whose estimate does. The knee
    is the search's own.
    """
    results: list[Screened] = []
    points = (*WITHIN_MARGINS, NOT_WORSE)
    for trial in worth_screening(trials, dense):
        results.append(measure(trial))
        if all(any(one.certifies(point) for one in results) for point in points):
            break
    best = [(point, _cheapest(results, point)) for point in points] + [(KNEE, knee(front(trials)))]
    return [(point, trial) for point, trial in best if trial is not None and trial.origin != "dense"]


def _cheapest(results: Sequence[Screened], point: OperatingPoint) -> Trial | None:
    certified = (one.trial for one in results if one.certifies(point))
    return next(certified, next((one.trial for one in results if one.fits(point)), None))
