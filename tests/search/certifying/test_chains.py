"""Chains of configurations and the chances that they are made from."""

from __future__ import annotations

import numpy as np
import pytest

from search.certifying.chains import best_chain, chain_value, planned_chains
from search.certifying.chance import Counts, chance, remaining_chance
from search.certifying.evidence import EXCESS, Evidence


def counts(lost: list[float], n: int, effect: float = 1.0) -> Counts:
    many = np.array(lost)
    return Counts(many, np.zeros(len(many)), np.full(len(many), float(n)), wrong=0.1, effect=effect)


def test_a_sure_and_cheap_configuration_is_the_whole_chain() -> None:
    assert best_chain(np.array([0.99, 0.999]), np.array([0.3, 0.5])) == [1, 0]
    assert best_chain(np.array([0.999, 0.5]), np.array([0.3, 0.31])) == [0]


def test_a_risky_one_stands_behind_safe_ones() -> None:
    chain = best_chain(np.array([0.3, 0.7, 0.95]), np.array([0.2, 0.4, 0.6]))
    assert chain == [2, 1, 0]


def test_what_has_no_chance_or_costs_as_much_as_dense_is_left_out() -> None:
    assert best_chain(np.array([0.1, 0.9]), np.array([0.2, 1.0])) == []


def test_the_value_of_a_chain_is_its_expected_saving() -> None:
    chances, costs = np.array([0.5, 0.8]), np.array([0.2, 0.6])
    assert chain_value([1, 0], chances, costs) == pytest.approx(0.8 * 0.4 + 0.8 * 0.5 * 0.4)


def test_the_chance_grows_with_pool_and_margin() -> None:
    lost, gained = np.array([0.01]), np.array([0.005])
    few, many = (chance(lost, gained, 0.01, pool, 0.01)[0] for pool in (500, 4000))
    assert few < many < chance(lost, gained, 0.02, 4000, 0.01)[0]


def test_the_chance_foretells_how_often_a_pool_certifies() -> None:
    rng, pool, level = np.random.default_rng(1), 1000, 0.05 / 3
    evidence = Evidence(np.arange(pool))
    for lost, gained, margin in ((0.004, 0.002, 0.01), (0.02, 0.015, 0.02), (0.015, 0.005, 0.02)):
        draws = rng.choice([1, -1, 0], size=(300, pool), p=[lost, gained, 1 - lost - gained])
        certified = np.mean([evidence.p_value(losses, margin) <= level for losses in draws])
        share = 0.875 / EXCESS  # of the last look; see `looks`
        assert chance(np.array([lost]), np.array([gained]), margin, pool, level * share)[0] == pytest.approx(
            certified, abs=0.15
        )


def test_planned_chains_run_from_expensive_to_cheap() -> None:
    costs = np.array([0.2, 0.4, 0.6])
    for chain in planned_chains(counts([9, 2, 0], 600), costs, (0.01, 0.02), 2000, 0.01, np.random.default_rng(0)):
        assert sorted(chain, key=lambda i: -costs[i]) == chain


def test_units_of_several_questions_make_chances_smaller() -> None:
    alone, grouped = counts([5], 600), counts([5], 600, effect=3.0)
    asked = (1.0, 0.0, 200)
    rng = np.random.default_rng
    assert remaining_chance(grouped, asked, 0.02, 1000, 0.01, rng(0)) < remaining_chance(
        alone, asked, 0.02, 1000, 0.01, rng(0)
    )


def test_a_pool_that_is_asked_leaves_no_doubt() -> None:
    rng = np.random.default_rng(0)
    assert remaining_chance(counts([0], 1000), (0.0, 0.0, 1000), 0.02, 1000, 0.01, rng) > 0.99
    assert remaining_chance(counts([40], 1000), (40.0, 0.0, 1000), 0.02, 1000, 0.01, rng) < 0.01
