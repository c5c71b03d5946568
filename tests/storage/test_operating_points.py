"""Which members of a front an export confirms, and which one serves several benchmarks."""

from __future__ import annotations

import pytest

from himap import PruningConfig
from search.certifying.joint import JointCandidate, best_joint, joint_candidates
from search.errors import UsageError
from storage import Trial
from storage.pareto import front, operating_points
from tests.search.search_helpers import trial


def at(number: int, ratio: float, accuracy: float, origin: str = "sampler") -> Trial:
    spread = {"accuracy_low": 0.0, "accuracy_high": 1.0}
    config = PruningConfig(2, 10 + number, 8, 75)
    return trial(number, config, origin, flops_ratio=ratio, flops=1e9 * ratio, accuracy=accuracy, **spread)


DENSE = at(0, 1.0, 0.900, "dense")
FRONT = [at(1, 0.1, 0.60), at(2, 0.2, 0.882), at(3, 0.4, 0.893), at(4, 0.5, 0.896), at(5, 0.7, 0.902)]


def places(trials: list[Trial]) -> dict[str, int]:
    return {point.slug: trial.number for point, trial in operating_points(front(trials), DENSE)}


def test_each_place_has_its_member() -> None:
    assert places([DENSE, *FRONT]) == {"within-0.5": 4, "within-1": 3, "within-2": 2}


def test_a_place_that_only_dense_fills_is_left_out() -> None:
    assert places([DENSE, at(1, 0.3, 0.885)]) == {"within-2": 1}
    assert places([DENSE]) == {}


def two_studies() -> dict[str, list[Trial]]:
    return {"pope": [DENSE, *FRONT], "mme": [DENSE, at(3, 0.35, 0.80), at(4, 0.45, 0.88), at(9, 0.9, 0.95)]}


def test_candidates_know_what_the_studies_know() -> None:
    joint = {(c.benchmark, c.trial.number): c.drops for c in joint_candidates(two_studies(), 0.6)}
    assert set(joint) == {("pope", 1), ("pope", 2), ("pope", 3), ("pope", 4)}
    assert joint["pope", 4] == pytest.approx({"pope": 0.004, "mme": 0.02})
    assert joint["pope", 2] == pytest.approx({"pope": 0.018})
    assert ("mme", 9) in {(c.benchmark, c.trial.number) for c in joint_candidates(two_studies(), 1.0)}


def test_the_best_one_is_found_without_measuring_what_cannot_win() -> None:
    measured: list[tuple[int, str]] = []

    def drop(candidate: JointCandidate, name: str) -> float:
        measured.append((candidate.trial.number, name))
        return 0.019

    winner = best_joint(joint_candidates(two_studies(), 0.6), ["pope", "mme"], drop)
    assert (winner.trial.number, winner.worst) == (2, pytest.approx(0.019))
    assert measured == [(2, "mme")]


def test_studies_that_cannot_be_joined_say_why() -> None:
    with pytest.raises(UsageError, match="on mme has not measured dense"):
        joint_candidates({"pope": [DENSE], "mme": FRONT}, 0.5)
    with pytest.raises(UsageError, match="no front has a member at 5 % of dense's FLOPs"):
        joint_candidates(two_studies(), 0.05)
