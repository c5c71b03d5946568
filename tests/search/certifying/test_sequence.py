"""The tests of several margins: their family-wise error, their order, and that a resumed one ends the same."""

from __future__ import annotations

import numpy as np

from search.certifying.evidence import Evidence
from search.certifying.sequence import Certification

MARGINS = (0.005, 0.01, 0.02)


def independent(n: int) -> Evidence:
    return Evidence(np.arange(n))


def test_where_every_margin_is_false_at_most_one_run_in_twenty_certifies_anything() -> None:
    rng, runs, wrong = np.random.default_rng(0), 300, 0
    evidence = independent(1000)
    for _ in range(runs):
        shared = rng.random(1000)
        losses = {  # each margin's members lose 0.02 points more than it allows
            number: (shared < margin + 0.0002).astype(float) for number, margin in enumerate(MARGINS)
        }
        chains = {margin: [number] for number, margin in enumerate(MARGINS)}
        certification = Certification(evidence, chains, 0.05)
        for n in (125, 250, 500, 1000):
            certification.advance({number: values[:n] for number, values in losses.items()})
        wrong += any(certification.certified(margin) for margin in MARGINS)
    assert wrong / runs <= 0.05


def test_a_chain_goes_on_to_the_next_and_ends_at_the_first_failure() -> None:
    evidence = independent(500)
    chains = {0.02: [7, 8, 9]}
    certification = Certification(evidence, chains, 0.05)
    assert certification.wanted() == [7]
    certification.advance({7: np.zeros(500)})
    assert certification.wanted() == [8]
    certification.advance({7: np.zeros(500), 8: np.ones(500), 9: np.zeros(500)})
    assert certification.done
    assert certification.certified(0.02) == (7,)
    assert certification.states[0].ended == "spent"


def test_a_certified_chain_hands_its_level_to_all_others_in_equal_parts_and_a_futile_one_hands_on_none() -> None:
    evidence = independent(500)
    chains = {0.01: [1], 0.02: [2], 0.05: [3]}
    certification = Certification(evidence, chains, 0.06, lambda number, *_: 0.0 if number == 2 else 1.0)
    certification.advance({2: np.zeros(10), 3: np.zeros(500)})
    levels = {state.margin: (round(state.level, 4), state.ended) for state in certification.states}
    assert levels[0.05] == (0.02, "certified")
    assert levels[0.02] == (0.03, "futile")
    assert levels[0.01] == (0.03, "")


def test_what_is_certified_within_a_margin_is_certified_within_larger_ones() -> None:
    certification = Certification(independent(2000), {0.005: [4], 0.02: [4, 5]}, 0.05)
    certification.advance({4: np.zeros(2000)})
    assert certification.certified(0.02) == (4,)
    assert certification.wanted() == [5]


def test_a_margin_without_a_chain_takes_no_level() -> None:
    certification = Certification(independent(500), {0.005: [], 0.02: [1]}, 0.05)
    assert [state.level for state in certification.states if state.chain] == [0.05]


def test_verdicts_depend_on_the_answers_alone() -> None:
    rng = np.random.default_rng(3)
    losses = {n: rng.choice([0, 1, -1], size=1000, p=[0.985, 0.01, 0.005]).astype(float) for n in range(3)}
    chains = {0.01: [0, 1], 0.02: [0, 1, 2]}
    steady = Certification(independent(1000), chains, 0.05)
    for n in range(125, 1001, 125):
        steady.advance({number: values[:n] for number, values in losses.items()})
    resumed = Certification(independent(1000), chains, 0.05)
    resumed.advance(losses)
    assert resumed.states == steady.states


def test_levels_do_not_depend_on_which_chain_was_certified_first() -> None:
    losses = {1: np.zeros(500), 2: np.zeros(500)}
    chains = {0.005: [0], 0.02: [1], 0.05: [2]}
    levels = []
    for first, values in losses.items():
        certification = Certification(independent(500), chains, 0.06)
        certification.advance({first: values})
        certification.advance(losses)
        levels.append([state.level for state in certification.states])
    assert levels[0] == levels[1]
    assert levels[0][0] == 0.06


def test_level_that_comes_late_reopens_a_margin_whose_pool_is_spent() -> None:
    evidence = independent(500)
    best = evidence.at_best(0.03)
    certification = Certification(evidence, {best - 0.0005: [1], 0.05: [2]}, 0.06)
    certification.advance({1: np.zeros(500)})
    assert certification.certified(best) == ()
    certification.advance({1: np.zeros(500), 2: np.zeros(500)})
    assert certification.certified(best) == (1,)
