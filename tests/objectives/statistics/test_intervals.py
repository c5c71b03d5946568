"""Intervals that hold where a preset needs them: near the bound, with few answers changed, in groups."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import optimize, stats

from objectives.statistics.estimates import paired_difference
from objectives.statistics.intervals import accuracy_interval, difference_interval, median_interval

Z = float(stats.norm.ppf((1 + 0.965) / 2))


def changed(n: int, gained: int, lost: int) -> tuple[list[float], list[float]]:
    """Scores of a configuration and of dense."""
    own = [1.0] * gained + [0.0] * lost + [1.0] * (n - gained - lost)
    return own, [0.0] * gained + [1.0] * lost + [1.0] * (n - gained - lost)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0), (81, 263, 0.2527, 0.3676)],
)
def test_an_accuracy_has_the_exact_interval(right: int, n: int, low: float, high: float) -> None:
    result = accuracy_interval([1.0] * right + [0.0] * (n - right))
    assert (result.mean, result.low, result.high) == pytest.approx((right / n, low, high), abs=1e-4)


@pytest.mark.parametrize(("gained", "lost"), [(3, 7), (0, 4), (12, 1)])
def test_the_ends_are_where_the_score_statistic_reaches_its_quantile(gained: int, lost: int) -> None:
    """By Tango's definition, with the likeliest nuisance found by a search instead of in closed form."""
    n = 100
    result = difference_interval(*changed(n, gained, lost))
    for delta in (result.low, result.high):

        def unlikely(losing: float, delta: float = delta) -> float:
            chances = np.clip([losing + delta, losing, 1 - 2 * losing - delta], 1e-300, 1)
            return -float(np.dot([gained, lost, n - gained - lost], np.log(chances)))

        bounds = (max(0.0, -delta), (1 - delta) / 2)
        losing = optimize.minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
        statistic = (gained - lost - n * delta) / np.sqrt(n * (2 * losing + delta - delta**2))
        assert abs(statistic) == pytest.approx(Z, abs=1e-4)


def test_no_change_at_all_still_leaves_room() -> None:
    result = difference_interval([1.0] * 500, [1.0] * 500)
    room = Z**2 / (500 + Z**2)
    assert (result.mean, result.low, result.high) == pytest.approx((0, -room, room))
    bootstrap = paired_difference([1.0] * 500, [1.0] * 500)
    assert bootstrap.low == bootstrap.high == 0


def test_the_two_sides_mirror_each_other() -> None:
    own, dense = changed(300, 4, 9)
    one, other = difference_interval(own, dense), difference_interval(dense, own)
    assert (one.low, one.mean, one.high) == pytest.approx((-other.high, -other.mean, -other.low))
    assert difference_interval([0.0] * 40, [1.0] * 40).low == -1.0


def exact_coverage(n: int, gain: float, loss: float, bootstrap: bool = False) -> float:
    """The probability that the interval holds `gain - loss`, summed over what may happen."""
    total = 0.0
    for gained, lost in itertools.product(range(14), range(18)):
        chance = stats.multinomial.pmf([gained, lost, n - gained - lost], n, [gain, loss, 1 - gain - loss])
        if chance > 1e-6:
            compute = paired_difference if bootstrap else difference_interval
            result = compute(*changed(n, gained, lost))
            total += float(chance) * (result.low <= gain - loss <= result.high)
    return total


@pytest.mark.parametrize(("gain", "loss"), [(0.002, 0.004), (0.0, 0.008), (0.003, 0.003), (0.004, 0.01)])
def test_a_difference_holds_where_few_answers_change(gain: float, loss: float) -> None:
    assert exact_coverage(500, gain, loss) >= 0.95


def test_the_bootstrap_would_not() -> None:
    assert exact_coverage(500, 0.002, 0.004, bootstrap=True) < 0.9


def test_credits_count_as_parts_of_an_answer() -> None:
    rng = np.random.default_rng(0)
    credits = np.array([0, 0.3, 0.6, 0.9, 1.0])
    dense = rng.choice(credits, 20_000, p=[0.1, 0.05, 0.1, 0.15, 0.6])
    own = np.where(rng.random(20_000) < 0.04, rng.choice(credits, 20_000), dense)
    drawn = [rng.integers(20_000, size=500) for _ in range(300)]
    inside = [difference_interval(own[i], dense[i]) for i in drawn]
    assert np.mean([i.low <= (own - dense).mean() <= i.high for i in inside]) >= 0.95
    means = [accuracy_interval(own[i]) for i in drawn]
    assert np.mean([i.low <= own.mean() <= i.high for i in means]) >= 0.95


def test_questions_that_hang_together_count_as_fewer() -> None:
    own, dense = changed(200, 6, 10)
    groups = [i // 2 for i in range(400)]
    twice = [np.repeat(item, 2) for item in (own, dense)]
    alone, together = difference_interval(own, dense), difference_interval(*twice, groups)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high), abs=2e-4)
    assert difference_interval(*twice).low > together.low + 0.005
    assert accuracy_interval(twice[0], groups).low == pytest.approx(accuracy_interval(own).low, abs=2e-4)
    assert accuracy_interval(own, [0] * 100 + list(range(100))).low <= accuracy_interval(own).low


def test_unbounded_scores_have_student_s_interval() -> None:
    values = np.random.default_rng(1).gamma(2.0, 0.2, 80)
    result = difference_interval(values, np.zeros(80), graded=True)
    low, high = stats.t.interval(0.95, 79, values.mean(), stats.sem(values))
    assert (result.low, result.high) == pytest.approx((low, high))
    assert accuracy_interval([0.0] * 5 + [0.9], graded=True).low == 0.0


@pytest.mark.parametrize(("n", "cut"), [(6, 1), (9, 2), (20, 6), (25, 8)])
def test_a_median_has_the_order_statistics_as_its_interval(n: int, cut: int) -> None:
    """The signs of n values about the true median are n tosses of a coin."""
    values = np.random.default_rng(0).permutation(n) + 1.0
    assert median_interval(values) == ((n + 1) / 2, cut, n + 1 - cut)
    outside = stats.binom.cdf([cut - 1, cut], n, 0.5)
    assert 2 * outside[0] <= 0.05 < 2 * outside[1]


def test_five_values_have_no_interval_of_their_median() -> None:
    with pytest.raises(ValueError, match="got 5 values; the interval of a median needs at least 6"):
        median_interval([1.0, 2.0, 3.0, 4.0, 5.0])
