"""Which configurations are screened, and which of them each operating point takes."""

from __future__ import annotations

import math

import pytest

from himap import PruningConfig
from objectives.statistics.estimates import Interval
from search.certifying.screening import Screened, screened, screened_points, worth_screening
from storage import Confirmation, Trial
from storage.pareto import NOT_WORSE, WITHIN_MARGINS
from tests.search.search_helpers import trial


def at(number: int, ratio: float, accuracy: float, half: float = 0.05, origin: str = "sampler") -> Trial:
    spread = {"accuracy_low": accuracy - half, "accuracy_high": min(1.0, accuracy + half)}
    config = PruningConfig(2, 10 + number % 80, 8, 75)
    return trial(number, config, origin, flops_ratio=ratio, flops=1e9 * ratio, accuracy=accuracy, **spread)


DENSE = at(0, 1.0, 0.90, origin="dense")


def test_the_best_are_screened_of_each_part_of_the_range_from_the_cheapest_on() -> None:
    trials = [DENSE, at(1, 0.2, 0.80), at(2, 0.20, 0.86), at(3, 0.21, 0.85), at(4, 0.5, 0.89), at(5, 0.9, 0.9)]
    assert [t.number for t in worth_screening(trials, DENSE)] == [2, 4, 5]
    assert [t.number for t in worth_screening(trials[1:2], DENSE)] == []
    many = [at(i, 0.2 + 0.7 * i / 200, 0.9) for i in range(1, 200)]
    assert len(worth_screening(many, DENSE)) <= 16
    assert worth_screening(many, DENSE)[0].number == 1


def measured(by_number: dict[int, tuple[float, float]], numbers: list[int]) -> object:
    def measure(one: Trial) -> Screened:
        numbers.append(one.number)
        mean, half = by_number[one.number]
        return Screened(one, Interval(mean, mean - half, mean + half), complete=not math.isnan(mean))

    return measure


def points(by_number: dict[int, tuple[float, float]]) -> tuple[dict[str, int], list[int]]:
    trials = [DENSE, *(at(number, number / 10, 0.9 - 0.001 * (9 - number)) for number in by_number)]
    numbers: list[int] = []
    chosen = screened_points(trials, DENSE, measured(by_number, numbers))  # type: ignore[arg-type]  # a callable
    return {point.slug: one.number for point, one in chosen if point.slug != "knee"}, numbers


def test_an_operating_point_takes_the_cheapest_certified_one_and_the_rest_is_not_measured() -> None:
    chosen, numbers = points(
        {
            1: (math.nan, 0.0),
            2: (-0.015, 0.01),
            3: (-0.012, 0.004),
            4: (-0.004, 0.004),
            5: (0.0, 0.004),
            6: (0.01, 0.001),
        }
    )
    assert chosen == {"within-2": 3, "within-1": 4, "within-0.5": 5, "not-worse": 5}
    assert numbers == [1, 2, 3, 4, 5]


def test_without_a_certified_one_it_takes_the_cheapest_whose_estimate_fits() -> None:
    chosen, numbers = points({1: (math.nan, 0.0), 4: (-0.009, 0.01), 5: (-0.004, 0.007), 7: (-0.003, 0.009)})
    assert chosen == {"within-2": 4, "within-1": 4, "within-0.5": 5}
    assert numbers == [1, 4, 5, 7]


def test_without_either_only_the_knee_is_left() -> None:
    assert points({1: (math.nan, 0.0), 2: (-0.05, 0.0)})[0] == {}


def confirmation(scores: tuple[float, ...]) -> Confirmation:
    answered = [score for score in scores if not math.isnan(score)]
    mean = sum(answered) / len(answered)
    return Confirmation(
        config=PruningConfig(2, 50, 8, 75, "instruction", "random", 0),
        n_questions=len(scores),
        n=len(answered),
        accuracy=mean,
        accuracy_low=0.0,
        accuracy_high=1.0,
        dense_accuracy=1.0,
        difference=0.0,
        difference_low=-1.0,
        difference_high=1.0,
        scores=scores,
    )


def test_what_the_search_asked_before_does_not_count() -> None:
    dense = confirmation((1.0,) * 40)
    lucky = screened(DENSE, confirmation((1.0,) * 20 + (0.0, 1.0) * 10), dense, 20)
    assert (lucky.difference.mean, lucky.complete) == (-0.5, True)
    assert lucky.difference.low < -0.5 < lucky.difference.high
    given_up = screened(DENSE, confirmation((1.0,) * 39 + (math.nan,)), dense, 20)
    assert not given_up.complete and not any(given_up.fits(point) for point in (*WITHIN_MARGINS, NOT_WORSE))
    same = screened(DENSE, dense, dense, 20)
    assert same.difference == Interval(0.0, 0.0, 0.0)
    assert all(same.certifies(point) for point in (*WITHIN_MARGINS, NOT_WORSE))


@pytest.mark.parametrize("mean", [-0.001, 0.0])
def test_not_worse_means_the_estimate_and_within_a_point_the_interval(mean: float) -> None:
    one = Screened(DENSE, Interval(mean, mean - 0.009, mean + 0.009))
    assert one.certifies(NOT_WORSE) == (mean == 0.0)
