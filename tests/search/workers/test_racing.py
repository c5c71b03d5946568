"""The race: few stops are wrong however often it looks, and what clearly loses is pruned."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from search.workers.racing import FAMILY_WISE_ERROR, Race, Rival, capital


def population(rng: np.random.Generator, n: int, gained: int, lost: int) -> tuple[np.ndarray, np.ndarray]:
    """Right-or-wrong scores of a configuration and a rival: `gained` questions only the first has right,
    `lost` only the other."""
    both = rng.random(n) < 0.7
    own, theirs = both.astype(float), both.astype(float)
    own[:gained], theirs[:gained] = 1, 0
    own[gained : gained + lost], theirs[gained : gained + lost] = 0, 1
    return own, theirs


def stopped_at(race: Race, own: np.ndarray, order: np.ndarray, chunk: int) -> int | None:
    """After how many questions the race ends, None if it does not."""
    for answered in range(chunk, len(order), chunk):
        if race(order[:answered].tolist(), own[order[:answered]].tolist()):
            return answered
    return None


@pytest.mark.parametrize(("n", "discordant"), [(120, 10), (120, 40), (300, 60)])
def test_at_most_five_percent_of_equals_are_stopped(n: int, discordant: int) -> None:
    """Exactly as good as its rival, looked at after every question: the hardest case that must go on."""
    rng = np.random.default_rng(1)
    own, theirs = population(rng, n, discordant, discordant)
    race = Race([Rival(0, 1.0, 1.0, tuple(theirs))], 1.0, 1.0)
    stops = [stopped_at(race, own, rng.permutation(n), 1) is not None for _ in range(250)]
    assert np.mean(stops) <= FAMILY_WISE_ERROR


def test_several_rivals_share_the_five_percent() -> None:
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(400):
        own = (rng.random(120) < 0.8).astype(float)
        rivals = []
        for number in range(5):
            theirs = own.copy()
            right, left = np.flatnonzero(own == 1), np.flatnonzero(own == 0)
            theirs[rng.choice(right, 8, replace=False)] = 0
            theirs[rng.choice(left, 8, replace=False)] = 1
            rivals.append(Rival(number, 1.0, 1.0, tuple(theirs)))
        wrong += stopped_at(Race(rivals, 1.0, 1.0), own, rng.permutation(120), 10) is not None
    assert wrong / 400 <= FAMILY_WISE_ERROR


def test_graded_scores_keep_the_rate_too() -> None:
    rng = np.random.default_rng(3)
    own = rng.choice([0, 0.3, 0.6, 0.9, 1.0], 200)
    theirs = rng.permutation(own)  # the same mean
    race = Race([Rival(0, 1.0, 1.0, tuple(theirs))], 1.0, 1.0)
    stops = [stopped_at(race, own, rng.permutation(200), 5) is not None for _ in range(600)]
    assert np.mean(stops) <= FAMILY_WISE_ERROR


def test_pairs_asked_side_by_side_keep_the_rate() -> None:
    """Pairs won or lost together, and whole pairs in random order: singly they are no random draws."""
    rng = np.random.default_rng(7)
    n, discordant = 120, 20  # pairs; of them won, and as many lost
    own, theirs = (np.repeat(one, 2) for one in population(rng, n, discordant, discordant))
    rivals, groups = [Rival(0, 1.0, 1.0, tuple(theirs))], [i // 2 for i in range(2 * n)]
    stops = {True: 0, False: 0}
    for _ in range(250):
        order = np.repeat(2 * rng.permutation(n), 2) + np.tile([0, 1], n)
        for paired in stops:
            race = Race(rivals, 1.0, 1.0, groups if paired else None)
            stops[paired] += stopped_at(race, own, order, 2) is not None
    assert stops[True] / 250 <= FAMILY_WISE_ERROR < stops[False] / 250


def test_groups_of_one_are_the_questions_themselves() -> None:
    rng = np.random.default_rng(8)
    own, theirs = population(rng, 120, 5, 30)
    rivals, order = [Rival(0, 1.0, 1.0, tuple(theirs))], rng.permutation(120)
    plain, grouped = Race(rivals, 1.0, 1.0), Race(rivals, 1.0, 1.0, list(range(120)))
    assert stopped_at(plain, own, order, 4) == stopped_at(grouped, own, order, 4) is not None


def test_pairs_that_are_clearly_worse_are_stopped() -> None:
    rng = np.random.default_rng(9)
    own, theirs = population(rng, 120, 0, 60)
    order = np.repeat(2 * rng.permutation(60), 2) + np.tile([0, 1], 60)
    race = Race([Rival(0, 1.0, 1.0, tuple(theirs))], 1.0, 1.0, [i // 2 for i in range(120)])
    assert (stopped_at(race, own, order, 8) or 120) <= 48


def test_what_is_clearly_worse_is_stopped_early() -> None:
    """Ten points worse on 1,000 questions, with 20 % of them answered differently."""
    rng = np.random.default_rng(4)
    own, theirs = population(rng, 1000, 50, 150)
    race = Race([Rival(0, 1.0, 1.0, tuple(theirs))], 1.0, 1.0)
    at = [stopped_at(race, own, rng.permutation(1000), 10) or 1000 for _ in range(100)]
    assert np.median(at) < 300
    own, theirs = population(rng, 120, 0, 60)
    race = Race([Rival(0, 1.0, 1.0, tuple(theirs))], 1.0, 1.0)
    at = [stopped_at(race, own, rng.permutation(120), 8) or 120 for _ in range(100)]
    assert np.median(at) <= 24


def test_only_rivals_that_cost_no_more_count_and_the_reason_names_one() -> None:
    wrong, right = (0.0,) * 60, (1.0,) * 60
    expensive, cheap = Rival(3, 2.0, 1.0, right), Rival(4, 1.0, 1.0, right)
    alone = Race([expensive], 1.5, 1.5)
    assert not alone(range(30), wrong[:30])
    race = Race([expensive, cheap], 1.5, 1.5)
    assert race(range(30), wrong[:30])
    assert race.reason == "less accurate than trial 4, which costs no more, after 30 of 60 questions"


def test_the_stake_is_a_fair_game() -> None:
    """Over all orders of numbers with mean 0 the expected capital at the end is exactly 1."""
    numbers = [1.0, -1.0, 0.5, -0.5, 0.0]
    ends = []
    for order in itertools.permutations(numbers):
        gains = np.array(order)
        best = [capital(gains[:t], 5) for t in range(1, 6)]
        assert best == sorted(best)  # the largest so far
        assert np.isfinite(best).all()  # never certain of what is false
        ends.append(max(best))
    assert np.mean(np.array(ends) >= 20) <= 0.05


def test_what_cannot_be_made_up_for_any_more_is_certain() -> None:
    assert capital(np.array([1.0, 1.0, 1.0]), 5) == np.inf  # at best -2 in the two that are left
    assert capital(np.array([1.0, -1.0]), 2) < np.inf
    assert capital(np.array([]), 5) == 1
