"""Intervals: against published values, and against what "95 %" means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from objectives.statistics.estimates import compare, interval, mcnemar, paired_difference, wilson


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [  # Newcombe, Two-sided confidence intervals for the single proportion (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(right: int, n: int, low: float, high: float) -> None:
    interval = wilson(right / n, n)
    assert interval.mean == right / n
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


def test_wilson_is_symmetric_and_stays_within_zero_and_one() -> None:
    few, many = wilson(0.2, 15), wilson(0.8, 15)
    assert (1 - many.high, 1 - many.low) == pytest.approx((few.low, few.high))
    assert wilson(0.0, 5).low == 0.0 and wilson(1.0, 5).high == 1.0
    assert wilson(1.0, 5).low < 1.0


def test_an_interval_of_no_scores_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0 scores"):
        wilson(0.5, 0)


def test_no_difference_at_all_has_no_width() -> None:
    scores = [0.0, 1.0, 1.0, 0.3]
    same = paired_difference(scores, scores)
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0)


def test_the_difference_is_the_first_minus_the_second() -> None:
    result = paired_difference([1.0] * 50, [0.0] * 25 + [1.0] * 25)
    assert result.mean == 0.5
    assert 0.3 < result.low < 0.5 < result.high < 0.7
    back = paired_difference([0.0] * 25 + [1.0] * 25, [1.0] * 50)
    assert back.mean == -0.5


def test_pairing_counts() -> None:
    """The same two accuracies: answers that differ on few questions are told apart, on many they are not."""
    base = np.array([1.0] * 60 + [0.0] * 40)
    close = base.copy()
    close[:8] = 0.0
    shuffled = np.random.default_rng(0).permutation(close)
    assert paired_difference(base, close).low > 0
    assert paired_difference(base, shuffled).low < 0


def test_the_interval_is_the_same_each_time() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(40), rng.random(40)
    assert paired_difference(a, b) == paired_difference(a, b)


def test_about_95_of_100_intervals_hold_the_truth() -> None:
    """One configuration right on 80 %, the other losing 15 % of those and gaining 5 % of the rest: -0.11."""
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        first = rng.random(150) < 0.8
        second = np.where(first, rng.random(150) >= 0.15, rng.random(150) < 0.05)
        result = paired_difference(second.astype(float), first.astype(float))
        held += result.low <= -0.11 <= result.high
    assert 0.89 <= held / 200 <= 0.99


@pytest.mark.parametrize(("one", "other"), [([], []), ([1.0, 0.0, 1.0], [1.0]), ([1.0], [1.0, 0.0])])
def test_scores_that_are_no_pairs_are_refused(one: list[float], other: list[float]) -> None:
    with pytest.raises(ValueError, match=f"got {len(one)} and {len(other)} scores; expected two"):
        paired_difference(one, other)


@pytest.mark.parametrize(
    ("gained", "lost", "p"), [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (1, 9, 2 * 11 / 1024), (9, 1, 2 * 11 / 1024)]
)
def test_mcnemar_counts_the_questions_that_differ(gained: int, lost: int, p: float) -> None:
    """Two-sided binomial with one half: 2 * (1 + 10) / 2^10 for 1 of 10."""
    first = [1.0] * gained + [0.0] * lost + [1.0] * 40
    second = [0.0] * gained + [1.0] * lost + [1.0] * 40
    assert mcnemar(gained, lost) == compare(first, second).p == pytest.approx(p)


def test_mcnemar_is_the_binomial_test() -> None:
    for gained, lost in ((3, 0), (0, 10), (7, 12), (60, 40), (3000, 2900)):
        assert mcnemar(gained, lost) == pytest.approx(stats.binomtest(gained, gained + lost).pvalue, rel=1e-9)


def test_a_comparison_has_a_p_where_scores_are_right_or_wrong() -> None:
    plain = compare([1.0, 0.0, 1.0], [1.0, 1.0, 1.0])
    assert (plain.difference.mean, plain.p) == (pytest.approx(-1 / 3), 1.0)
    assert compare([0.3, 0.0], [1.0, 1.0]).p is None


def test_graded_scores_have_the_interval_of_their_own_spread() -> None:
    """Scores that hardly differ: right-or-wrong ones of the same mean would leave ten times as much open."""
    scores = np.random.default_rng(0).normal(0.5, 0.02, 100).tolist()
    graded, plain = interval(scores, graded=True), interval(scores)
    assert graded.low < graded.mean < graded.high
    assert (plain.high - plain.low) > 10 * (graded.high - graded.low)
    assert interval([1.0, 0.0, 1.0]) == wilson(2 / 3, 3)


@pytest.mark.parametrize("n", [400, 1200])
def test_the_bootstrap_of_many_distinct_scores_is_that_of_few(n: int) -> None:
    """Both ways to draw, against the interval of the normal distribution."""
    scores = np.random.default_rng(1).random(n)
    result = interval(scores.tolist(), graded=True)
    half = 1.96 * scores.std() / np.sqrt(n)
    assert (result.low, result.high) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=half / 10)
