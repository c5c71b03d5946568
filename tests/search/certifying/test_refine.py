"""Which configurations answer further validation questions, and when that ends."""

from __future__ import annotations

import numpy as np
import pytest

from search.certifying.refine import Aim, Candidates, candidates, design_effect, round_members

SETTING = Aim((0.01, 0.02), 0.05, 2000)
COSTS = {0: 1.0, 1: 0.2, 2: 0.4, 3: 0.6, 4: 0.7}


def with_lost(n: int, *lost: int) -> Candidates:
    """Return the candidates 1, 2, ... that lost so many of dense's answers."""
    scores = {0: np.ones(n)}
    for number, count in enumerate(lost, 1):
        scores[number] = np.ones(n)
        scores[number][:count] = 0
    return candidates(COSTS, scores, 0, 1.0)


def test_answers_are_counted_against_dense_on_the_questions_that_both_answered() -> None:
    scores = {0: np.array([1.0, 0, 1, 1]), 1: np.array([0.0, 1, np.nan, 1]), 2: np.array([1.0, 0])}
    of = candidates(COSTS, scores, 0, 1.0)
    assert of.numbers == (1, 2)
    assert of.counts.lost.tolist() == [1, 0]
    assert of.counts.gained.tolist() == [1, 0]
    assert of.counts.n.tolist() == [3, 2]
    assert of.counts.wrong == pytest.approx(0.25)


def test_what_few_questions_leave_open_is_asked_again() -> None:
    members = round_members(with_lost(120, 12, 2, 1, 0), SETTING, 20_000, np.random.default_rng(0))
    assert 2 in members
    assert 1 not in members  # it lost 10 %


def test_refining_ends_when_knowing_more_would_save_nothing() -> None:
    rng = np.random.default_rng(0)
    assert round_members(with_lost(900, 90, 0, 0, 0), SETTING, 20_000, rng) == []
    assert round_members(with_lost(120), SETTING, 20_000, rng) == []


def test_a_setting_with_as_many_answers_as_half_the_pool_is_asked_no_more() -> None:
    rng = np.random.default_rng(0)
    assert round_members(with_lost(900, 6, 6), SETTING, 20_000, rng)
    assert round_members(with_lost(1000, 6, 6), SETTING, 20_000, rng) == []


def test_a_small_pool_does_not_end_refining_before_it_began() -> None:
    small = Aim((0.05,), 0.05, 200)
    assert round_members(with_lost(120, 6, 4), small, 20_000, np.random.default_rng(0))


def test_no_plan_is_made_of_settings_that_few_questions_favored() -> None:
    rng = np.random.default_rng(0)
    scores = {0: np.ones(4000), 1: np.ones(4000), 2: np.ones(200), 4: np.ones(4000)}
    scores[4][:2000] = 0
    assert round_members(candidates(COSTS | {1: 0.5}, scores, 0, 1.0), SETTING, 20_000, rng) == [2]
    scores[2] = np.ones(400)
    assert round_members(candidates(COSTS | {1: 0.5}, scores, 0, 1.0), SETTING, 20_000, rng) == []


def test_a_round_is_not_begun_that_the_answers_left_cannot_end() -> None:
    assert round_members(with_lost(120, 12, 2, 1, 0), SETTING, 150, np.random.default_rng(0)) == []


def test_the_design_effect_of_questions_that_change_together() -> None:
    rng = np.random.default_rng(0)
    units = np.arange(600) // 3
    together = (rng.random(200) < 0.1).repeat(3).astype(float)
    apart = (rng.random(600) < 0.1).astype(float)
    assert design_effect([together], units) == pytest.approx(3, abs=0.1)
    assert design_effect([apart], units) == pytest.approx(1, abs=0.2)
    assert design_effect([np.zeros(600)], units) == 3  # nothing changed, so nothing is known
