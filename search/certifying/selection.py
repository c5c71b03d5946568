"""Selects the configurations of finished searches that are worth held-out questions."""

from __future__ import annotations

from collections.abc import Callable

from objectives.evaluation.checkpoints import Target
from search.certifying.confirmer import DENSE, Confirmer, Selected
from search.certifying.joint import JointCandidate, best_joint, joint_candidates
from search.certifying.screening import SLACK, Screened, screened, screened_points
from search.inputs.limits import LEAST_QUESTIONS
from search.inputs.questions import Library
from storage import Store, StudySummary, Trial
from storage.confirmation import MARGIN
from storage.pareto import OperatingPoint, dense_trial, front, operating_points

JOINT = OperatingPoint("joint", "smallest worst loss on several benchmarks", MARGIN)

Choice = tuple[StudySummary, OperatingPoint, Trial]


class Selector:
    """Selects by what a search measured and by further questions of its own split, never by held-out ones.

    What it measures is stored.

    Args:
        report: takes a line on what is measured or left out.
    """

    def __init__(self, store: Store, target: Target, library: Library, report: Callable[[str], None]) -> None:
        self._store, self._target, self._library, self._report = store, target, library, report
        self._confirmers: dict[tuple[str, int, float | None], Confirmer] = {}

    def operating_points(self, study: StudySummary, screen: int) -> list[Choice]:
        """Return the operating points of a study, by `screen` further questions (0: by its own estimates)."""
        trials = self._complete(study)
        dense = dense_trial(trials)
        if dense is None:
            self._report(f"{study.key.questions}: left out, its search has not measured dense")
            return []
        points = self._screened(study, trials, dense, screen) if screen else operating_points(front(trials), dense)
        return [(study, point, trial) for point, trial in points]

    def _screened(
        self, study: StudySummary, trials: list[Trial], dense: Trial, screen: int
    ) -> list[tuple[OperatingPoint, Trial]]:
        key = study.key
        confirmer = self._confirmer("screening", key.split, key.n_questions + screen, SLACK)
        base = confirmer.confirm(Selected(study.id, key.questions, DENSE, dense.number))
        if base.n - dense.n < LEAST_QUESTIONS:
            self._report(f"{key.questions}: selected by the search's own estimates, for lack of further questions")
            return operating_points(front(trials), dense)

        def measure(trial: Trial) -> Screened:
            selected = Selected(study.id, key.questions, trial.config, trial.number)
            return screened(trial, confirmer.confirm(selected), base, dense.n)

        return screened_points(trials, dense, measure)

    def joint(self, studies: dict[str, StudySummary], ratio: float) -> Choice:
        """Return the front member below `ratio` of dense's FLOPs that is best for all benchmarks together.

        What the studies do not know of it is measured on their own questions.
        """
        candidates = joint_candidates({name: self._complete(study) for name, study in studies.items()}, ratio)

        def drop(candidate: JointCandidate, name: str) -> float:
            key = studies[name].key
            confirmer = self._confirmer("trying", key.split, key.n_questions, None)
            return -confirmer.confirm(Selected(studies[name].id, name, candidate.config)).difference

        winner = best_joint(candidates, list(studies), drop)
        return studies[winner.benchmark], JOINT, winner.trial

    def _complete(self, study: StudySummary) -> list[Trial]:
        return [t for t in self._store.trials(study.id, scores=False) if t.complete]

    def _confirmer(self, verb: str, split: str, n: int, floor: float | None) -> Confirmer:
        def on_step(step: str) -> None:
            self._report(f"{verb:10s} {step}")

        if (split, n, floor) not in self._confirmers:
            self._confirmers[split, n, floor] = Confirmer(
                self._store, self._target, n, split, on_step, self._library, floor
            )
        return self._confirmers[split, n, floor]
