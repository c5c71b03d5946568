"""The p-values: their size by enumeration and by simulation, and what a pool can certify at best."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln

from search.certifying.evidence import (
    Evidence,
    bet_weights,
    bets_p_value,
    least_pool,
    looks,
    looks_p_value,
    score_p_value,
)

MARGINS = (0.005, 0.01, 0.02)


def independent(n: int) -> Evidence:
    return Evidence(np.arange(n))


@pytest.mark.parametrize("n", [125, 150, 250])
def test_the_score_test_keeps_its_level_at_the_edge_of_the_null(n: int) -> None:
    most = n // 4 + 12  # of lost and gained answers; more have no mass here
    lost, gained = (grid.ravel() for grid in np.meshgrid(np.arange(most), np.arange(most), indexing="ij"))
    lost, gained = lost[lost + gained <= n], gained[lost + gained <= n]
    ways = gammaln(n + 1) - gammaln(lost + 1) - gammaln(gained + 1) - gammaln(n - lost - gained + 1)
    for margin in (0.0025, 0.01, 0.05):
        values = np.array([score_p_value(float(a), float(b), n, margin) for a, b in zip(lost, gained, strict=True)])
        order = np.argsort(values)
        for rate in (1e-9, 0.005, 0.02, 0.03, 0.08):
            logs = lost * np.log(margin + rate) + gained * np.log(rate)
            mass = np.exp(ways + logs + (n - lost - gained) * np.log(1 - margin - 2 * rate))[order].cumsum()
            assert mass[-1] > 0.999
            for level in (0.05, 0.042, 0.02, 0.01, 0.002):
                under = int(np.searchsorted(values[order], level, side="right"))
                assert under == 0 or mass[under - 1] <= level


def test_looks_share_the_whole_level_and_begin_at_125() -> None:
    plan = looks(2000)
    assert [look.n for look in plan] == [125, 250, 500, 1000, 2000]
    assert sum(look.share for look in plan) == pytest.approx(1)
    assert [look.n for look in looks(100)] == [100]


def test_looks_count_only_once_they_are_reached() -> None:
    plan = looks(1000)
    assert looks_p_value(np.zeros(124), 0.02, plan) == 1
    early = looks_p_value(np.zeros(999), 0.02, plan)
    assert looks_p_value(np.zeros(1000), 0.02, plan) < early < 0.05


@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_questions_that_change_together_keep_the_level(size: int) -> None:
    rng, margin, units = np.random.default_rng(0), 0.02, 500 // size
    weights = bet_weights(np.zeros(0), np.zeros(0, int), size, margin, 500)
    wrong = 0
    for _ in range(400):
        losses = np.repeat((rng.random(units) < margin).astype(float), size)
        wrong += bets_p_value(losses, np.repeat(np.arange(units), size), size, margin, weights) <= 0.05
    assert wrong / 400 <= 0.05


def test_the_first_losses_decide_as_soon_as_they_are_there() -> None:
    units = np.arange(1000)
    weights = bet_weights(np.zeros(200), np.arange(200), 1, 0.02, 1000)
    p_values = [bets_p_value(np.zeros(n), units[:n], 1, 0.02, weights) for n in (100, 400, 1000)]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[-1] < 0.01
    later = np.concatenate([np.zeros(1000), np.ones(50)])
    assert bets_p_value(later, np.arange(1050), 1, 0.02, weights) == p_values[-1]  # of the largest capital


def test_weights_follow_what_validation_questions_recommend() -> None:
    clean = bet_weights(np.zeros(300), np.arange(300), 1, 0.02, 2000)
    lossy = bet_weights((np.arange(300) % 60 == 0).astype(float), np.arange(300), 1, 0.02, 2000)
    assert sum(clean) == pytest.approx(1) == sum(lossy)
    assert int(np.argmax(clean)) > int(np.argmax(lossy))


def test_what_a_pool_certifies_at_best() -> None:
    assert [least_pool(margin, 0.05 / 18) for margin in MARGINS] == [1659, 826, 409]
    pool = independent(300)
    best = pool.at_best(0.05 / 3)
    assert pool.p_value(np.zeros(300), best) <= 0.05 / 3 < pool.p_value(np.zeros(300), best - 0.0002)
    assert Evidence(np.arange(300) // 2).at_best(0.05 / 3) > best  # pairs are fewer units


def test_the_tightest_bound_lies_above_the_measured_loss() -> None:
    losses = np.zeros(1000)
    losses[::100] = 1
    assert 0.01 < independent(1000).tightest(losses, 0.05) < 0.03


def test_enough_independent_questions_are_tested_at_looks() -> None:
    assert not Evidence(np.arange(250) // 2).by_looks
    assert not Evidence(np.arange(250), {0.01: (1.0,)}).by_looks  # a plan that was made with bets
    assert independent(125).by_looks
    assert not independent(124).by_looks


@pytest.mark.parametrize("parts", [(1.0,), (1 / 3, 2 / 3, 1.0), (0.3, 0.6, 0.9, 1.0), (0.1,), (0.05, 1.0)])
def test_partial_credits_keep_the_level_at_the_edge_of_the_null(parts: tuple[float, ...]) -> None:
    """Parts of answers are lost and gained alike, and one size is lost more often, by the margin."""
    rng, margin, runs, plan = np.random.default_rng(0), 0.02, 1000, looks(500)
    for rate in (0.0, 0.02, 0.1):
        chances = np.full(2 * len(parts), rate / len(parts))
        chances[0] += margin / parts[0]
        values = np.array([*parts, *(-part for part in parts), 0.0])
        drawn = rng.choice(values, (runs, 500), p=[*chances, 1 - chances.sum()])
        wrong = sum(looks_p_value(losses, margin, plan) <= 0.05 for losses in drawn)
        assert wrong / runs <= 0.05
    assert looks_p_value(np.repeat([0.3, -0.3], 250), margin, plan) > looks_p_value(np.zeros(500), margin, plan)


def test_chunks_end_at_looks_or_between_units() -> None:
    assert independent(500).chunk_ends(200) == [125, 200, 250, 400, 500]
    pairs = Evidence(np.arange(101) // 2)
    assert pairs.chunk_ends(25) == [26, 50, 76, 100, 101]


def test_a_bet_waits_for_its_whole_unit() -> None:
    evidence, losses = Evidence(np.repeat(np.arange(50), 4)), np.zeros(200)
    p_values = [evidence.p_value(losses[:n], 0.5) for n in (2, 8, 10, 12)]
    assert p_values[0] == 1.0 and p_values[1] == p_values[2] > p_values[3]
