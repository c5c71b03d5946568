"""The Pareto front against its definition."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from himap import PruningConfig
from storage.pareto import front
from storage.records import Trial

MakeTrial = Callable[..., Trial]


def points(make_trial: MakeTrial, *pairs: tuple[float, float]) -> list[Trial]:
    return [make_trial(n, flops=flops, accuracy=accuracy) for n, (flops, accuracy) in enumerate(pairs)]


def test_an_easy_front_by_rising_cost(make_trial: MakeTrial) -> None:
    trials = points(make_trial, (3, 0.9), (1, 0.5), (2, 0.7), (2.5, 0.6), (4, 0.9))
    assert [trial.number for trial in front(trials)] == [1, 2, 0]


def test_of_equal_points_the_first_measured_stays(make_trial: MakeTrial) -> None:
    trials = points(make_trial, (1, 0.5), (1, 0.5), (1, 0.6), (1, 0.6), (2, 0.6))
    assert [trial.number for trial in front(reversed(trials))] == [2]


def test_failed_and_unmeasured_trials_take_no_part(make_trial: MakeTrial) -> None:
    trials = points(make_trial, (math.nan, 0.9), (math.inf, 1.0), (1, 0.5))
    trials.append(Trial(9, "failed", "sampler", PruningConfig(1, 0, 2, 0), flops=0.0, accuracy=1.0, reason="killed"))
    assert [trial.number for trial in front(trials)] == [2]
    assert front([]) == []
    assert front(trials[3:]) == []


def test_estimates_of_pruned_trials_take_no_part(make_trial: MakeTrial) -> None:
    trials = points(make_trial, (1, 0.5), (2, 0.7))
    pruned = make_trial(2, flops=0.5, accuracy=0.9, state="pruned", reason="lost its race")
    assert [trial.number for trial in front([*trials, pruned])] == [0, 1]


def test_other_costs_and_values(make_trial: MakeTrial) -> None:
    trials = [
        make_trial(0, flops=1, latency_ms=9.0, accuracy=0.5),
        make_trial(1, flops=2, latency_ms=3.0, accuracy=0.6),
    ]
    assert [trial.number for trial in front(trials, cost="latency_ms")] == [1]
    assert [trial.number for trial in front(trials, value="accuracy_low")] == [0]
    with pytest.raises(AttributeError):
        front(trials, cost="price")


@pytest.mark.parametrize("seed", range(20))
def test_against_the_definition_on_random_grids(make_trial: MakeTrial, seed: int) -> None:
    draw = random.Random(seed)
    trials = points(make_trial, *((draw.randint(1, 8), draw.randint(0, 8) / 8) for _ in range(40)))

    def beats(a: Trial, b: Trial) -> bool:
        no_worse = a.flops <= b.flops and a.accuracy >= b.accuracy
        return no_worse and ((a.flops, a.accuracy) != (b.flops, b.accuracy) or a.number < b.number)

    expected = [one for one in trials if not any(beats(other, one) for other in trials)]
    members = front(trials)
    assert {trial.number for trial in members} == {trial.number for trial in expected}
    assert [trial.flops for trial in members] == sorted(trial.flops for trial in members)
