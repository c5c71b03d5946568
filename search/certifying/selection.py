"""Selects one configuration for several benchmarks, by what their searches measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from objectives.evaluation.checkpoints import Target
from search.certifying.confirmer import Confirmer, Selected
from search.certifying.joint import JointCandidate, best_joint, joint_candidates
from search.inputs.questions import Library
from storage import Store, StudySummary, Trial
from storage.confirmation import MARGIN
from storage.pareto import OperatingPoint

JOINT = OperatingPoint("joint", "smallest worst loss on several benchmarks", MARGIN)


def joint_choice(
    store: Store,
    target: Target,
    library: Library,
    studies: Mapping[str, StudySummary],
    ratio: float,
    report: Callable[[str], None],
) -> tuple[StudySummary, Trial]:
    """Return the front member below `ratio` of dense's FLOPs that is best for all benchmarks together, and its study.

    What the studies do not know of it is measured on their own questions, never on held-out ones, and stored.

    Args:
        report: called before each measurement with its description.
    """
    trials = {name: [t for t in store.trials(study.id, scores=False) if t.complete] for name, study in studies.items()}
    candidates = joint_candidates(trials, ratio)
    confirmers: dict[tuple[str, int], Confirmer] = {}

    def drop(candidate: JointCandidate, name: str) -> float:
        key = studies[name].key
        place = key.split, key.n_questions
        if place not in confirmers:
            confirmers[place] = Confirmer(store, target, key.n_questions, key.split, report, library)
        return -confirmers[place].confirm(Selected(studies[name].id, name, candidate.config)).difference

    winner = best_joint(candidates, list(studies), drop)
    return studies[winner.benchmark], winner.trial
