"""Chooses which configurations of finished searches are worth test questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from objectives.evaluation.checkpoints import Target
from objectives.statistics.estimates import Interval
from objectives.statistics.intervals import difference_interval
from search.certifying.confirmer import DENSE, Asked, Confirmer
from search.certifying.joint import Candidate, best, candidates
from search.inputs.limits import LEAST_QUESTIONS
from search.inputs.questions import Library
from storage import Confirmation, Store, StudySummary, Trial
from storage.confirmation import MARGIN
from storage.pareto import KNEE, NOT_WORSE, WITHIN_MARGINS, OperatingPoint, front, knee, operating_points

JOINT = OperatingPoint("joint", "smallest worst loss on several benchmarks", MARGIN)

Chosen = tuple[StudySummary, OperatingPoint, Trial]


class Chooser:
    """Reads searches and asks further questions of their own split, so that each choice is blind to the test
    split; what it measures is stored.

    Args:
        say: takes a line on what is measured or left out.
    """

    def __init__(self, store: Store, target: Target, library: Library, say: Callable[[str], None]) -> None:
        self._store, self._target, self._library, self._say = store, target, library, say
        self._confirmers: dict[tuple[str, int, float | None], Confirmer] = {}

    def places(self, study: StudySummary, screen: int) -> list[Chosen]:
        """Useful places on a study's front, by `screen` further questions (0: by its own estimates)."""
        trials = self._complete(study)
        dense = next((t for t in trials if t.origin == "dense"), None)
        if dense is None:
            self._say(f"{study.key.questions}: left out, its search has not measured dense")
            return []
        found = self._screened(study, trials, dense, screen) if screen else operating_points(front(trials), dense)
        return [(study, place, trial) for place, trial in found]

    def _screened(
        self, study: StudySummary, trials: list[Trial], dense: Trial, screen: int
    ) -> list[tuple[OperatingPoint, Trial]]:
        key = study.key
        confirmer = self._confirmer("screening", key.split, key.n_questions + screen, SLACK)
        base = confirmer.confirm(Asked(study.id, key.questions, DENSE, dense.number))
        if base.n - dense.n < LEAST_QUESTIONS:
            self._say(f"{key.questions}: places by the search's own estimates, for lack of further questions")
            return operating_points(front(trials), dense)

        def measure(trial: Trial) -> Screened:
            asked = Asked(study.id, key.questions, trial.config, trial.number)
            return screened(trial, confirmer.confirm(asked), base, dense.n)

        return screened_places(trials, dense, measure)

    def joint(self, studies: dict[str, StudySummary], ratio: float) -> Chosen:
        """The front member below `ratio` of dense's FLOPs that is best for all benchmarks together; what the
        studies do not know of it is measured on their own questions."""
        found = candidates({name: self._complete(study) for name, study in studies.items()}, ratio)

        def drop(candidate: Candidate, name: str) -> float:
            key = studies[name].key
            confirmer = self._confirmer("trying", key.split, key.n_questions, None)
            return -confirmer.confirm(Asked(studies[name].id, name, candidate.config)).difference

        winner = best(found, list(studies), drop)
        return studies[winner.benchmark], JOINT, winner.trial

    def _complete(self, study: StudySummary) -> list[Trial]:
        return [t for t in self._store.trials(study.id, scores=False) if t.complete]

    def _confirmer(self, doing: str, split: str, n: int, floor: float | None) -> Confirmer:
        if (split, n, floor) not in self._confirmers:
            self._confirmers[split, n, floor] = Confirmer(
                self._store, self._target, n, split, lambda said: self._say(f"{doing:10s} {said}"), self._library, floor
            )
        return self._confirmers[split, n, floor]


SLACK = max(place.margin for place in WITHIN_MARGINS)  # of accuracy: a larger loss fits no place
MOST = 16  # configurations of a study that are screened, beside its baselines


@dataclass(frozen=True)
class Screened:
    """A configuration's difference to dense on questions that its search did not ask; `ended` tells that it
    answered all of them."""

    trial: Trial
    difference: Interval
    ended: bool = True

    def likely(self, place: OperatingPoint) -> bool:
        """Whether the estimate fits the place."""
        return self.ended and self.difference.mean >= (0 if place is NOT_WORSE else -place.margin)

    def surely(self, place: OperatingPoint) -> bool:
        """Whether the whole interval keeps the place's promise, too."""
        return self.likely(place) and self.difference.low > -place.margin


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
    baselines = [t for t in able if t.origin not in ("sampler", "warm_start")]
    chosen = {trial.number: trial for trial in [*parts.values(), *baselines]}
    return sorted(chosen.values(), key=lambda t: (t.flops, t.number))


def screened_places(
    trials: Sequence[Trial], dense: Trial, measure: Callable[[Trial], Screened]
) -> list[tuple[OperatingPoint, Trial]]:
    """Each place with the cheapest configuration that surely keeps its promise, else with the cheapest that
    is likely to; places without either are left out. The knee is the search's own."""
    seen: list[Screened] = []
    places = (*WITHIN_MARGINS, NOT_WORSE)
    for trial in likely(trials, dense):
        seen.append(measure(trial))
        if all(any(one.surely(place) for one in seen) for place in places):
            break
    found = [(place, _cheapest(seen, place)) for place in places] + [(KNEE, knee(front(trials)))]
    return [(place, trial) for place, trial in found if trial is not None and trial.origin != "dense"]


def _cheapest(seen: Sequence[Screened], place: OperatingPoint) -> Trial | None:
    sure = (one.trial for one in seen if one.surely(place))
    return next(sure, next((one.trial for one in seen if one.likely(place)), None))
