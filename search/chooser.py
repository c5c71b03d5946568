"""Chooses which configurations of finished searches are worth test questions."""

from __future__ import annotations

from collections.abc import Callable

from search.asked import LEAST, Library
from search.confirm import DENSE, Asked, Confirmer
from search.joint import Candidate, best, candidates
from search.places import Place, pick
from search.screen import SLACK, Screened, screened, screened_places
from search.study import configuration
from search.targets import Target
from storage import Store, StudySummary, Trial
from storage.confirmation import WITHIN
from storage.pareto import front

JOINT = Place("joint", "smallest worst loss on several benchmarks", WITHIN)

Chosen = tuple[StudySummary, Place, Trial]


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
            self._say(f"{study.key.benchmark}: left out, its search has not measured dense")
            return []
        found = self._screened(study, trials, dense, screen) if screen else pick(front(trials), dense)
        return [(study, place, trial) for place, trial in found]

    def _screened(
        self, study: StudySummary, trials: list[Trial], dense: Trial, screen: int
    ) -> list[tuple[Place, Trial]]:
        key = study.key
        confirmer = self._confirmer("screening", key.split, key.n_questions + screen, SLACK)
        base = confirmer.confirm(Asked(study.id, key.benchmark, DENSE, dense.number))
        if base.n - dense.n < LEAST:
            self._say(f"{key.benchmark}: places by the search's own estimates, for lack of further questions")
            return pick(front(trials), dense)

        def measure(trial: Trial) -> Screened:
            asked = Asked(study.id, key.benchmark, configuration(trial), trial.number)
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
                self._store, self._target, n, split,
                lambda said: self._say(f"{doing:10s} {said}"), self._library, floor,
            )  # fmt: skip
        return self._confirmers[split, n, floor]
