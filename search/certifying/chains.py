"""Chains: which configurations are tested within a margin, from expensive to cheap.

A chain is a fixed sequence of hypotheses (Maurer, Hothorn and Lehmacher 1995): each is tested at the whole level, and
the first that is not certified ends it. Pareto Testing (Laufer-Goldshtein et al., ICLR 2023) orders such a sequence by
p-values on validation data; here it is the sequence with the largest expected saving.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.certifying.chance import Counts, chance

_LEAST_CHANCE = 0.2  # of a member, to be certified
_DRAWS = 600


def best_chain(chances: np.ndarray, costs: np.ndarray) -> list[int]:
    """Return the chain with the largest expected saving: indices of configurations, from expensive to cheap.

    Args:
        chances: (M,) to be certified.
        costs: (M,) as parts of dense's.
    """
    able = np.flatnonzero((chances >= _LEAST_CHANCE) & (costs < 1))
    able = able[np.argsort(costs[able], kind="stable")]
    gains = np.zeros(len(able))  # expected saving behind each, once it is certified
    following = np.full(len(able), -1)
    for i, one in enumerate(able):
        cheaper = able[:i]
        if not len(cheaper):
            continue
        value = chances[cheaper] * (costs[one] - costs[cheaper] + gains[:i])
        if (best := int(value.argmax())) >= 0 and value[best] > 0:
            gains[i], following[i] = value[best], best
    if not len(able):
        return []
    at = int((chances[able] * (1 - costs[able] + gains)).argmax())
    chain = []
    while at >= 0:
        chain.append(int(able[at]))
        at = int(following[at])
    return chain


def planned_chains(
    counts: Counts, costs: np.ndarray, margins: tuple[float, ...], pool: float, level: float, rng: np.random.Generator
) -> list[list[int]]:
    """Return the chain of each margin by the mean chances over the posterior.

    Args:
        costs: (M,) as parts of dense's.
        pool: independent questions of the test.
        level: of the test of one margin.
    """
    lost, gained = counts.draw(_DRAWS, rng)
    return [best_chain(chance(lost, gained, margin, pool, level).mean(0), costs) for margin in margins]


def chain_value(chain: Sequence[int], chances: np.ndarray, costs: np.ndarray) -> float:
    """Return the expected saving of a chain, as a part of dense's cost, if each member has this chance."""
    reached, cost, value = 1.0, 1.0, 0.0
    for one in chain:
        reached *= chances[one]
        value += reached * (cost - costs[one])
        cost = costs[one]
    return value
