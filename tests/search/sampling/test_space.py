"""The space holds only valid configurations, and `effect_key` says exactly which of them are the same."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, IntDistribution

from himap import PruningConfig, criteria
from search.sampling.encoding import Axes
from search.sampling.space import DEEP, SHALLOW, SearchSpace
from tests.search.search_helpers import LAYERS

SPACE = SearchSpace(LAYERS, seed=3)
COUNTS = (144, 100, 64)
QUICK = settings(max_examples=200, deadline=None, derandomize=True)


def params(layers: int = LAYERS) -> st.SearchStrategy[dict[str, Any]]:
    """Whatever a sampler may propose."""
    drawn: dict[str, st.SearchStrategy[Any]] = {}
    for name, bounds in SearchSpace(layers).distributions.items():
        if isinstance(bounds, IntDistribution):
            drawn[name] = st.integers(bounds.low, bounds.high)
        else:
            assert isinstance(bounds, CategoricalDistribution)
            drawn[name] = st.sampled_from(bounds.choices)
    return st.fixed_dictionaries(drawn)


@st.composite
def alike(draw: st.DrawFn) -> tuple[PruningConfig, PruningConfig]:
    """Two configurations, of coarse percents and with few differences, so that some pairs do the same."""
    coarse = st.sampled_from([0, 1, 25, 50, 51, 100])
    one = {**draw(params()), "r1": draw(coarse), "r2": draw(coarse)}
    other = {**one}
    for name in draw(st.sets(st.sampled_from(sorted(one)), max_size=2)):
        other[name] = draw(coarse) if name in ("r1", "r2") else draw(params())[name]
    seeds = draw(st.tuples(st.integers(0, 1), st.integers(0, 1)))
    first, second = (SearchSpace(LAYERS, seed).config(p) for seed, p in zip(seeds, (one, other), strict=True))
    return first, second


def kept_tokens(config: PruningConfig, n: int) -> list[frozenset[int]]:
    """Which of `n` tokens each layer works on, when every criterion ranks in its own arbitrary order."""
    left, after = list(range(n)), config.kept(n)
    works_on = []
    for layer in range(LAYERS):
        for cut, criterion, count in (
            (config.k1, config.phi_shallow, after[0]),
            (config.k2, config.phi_deep, after[1]),
        ):
            if layer == cut:
                seed = config.seed if criterion == "random" else None
                order = random.Random(zlib.crc32(repr((layer, criterion, seed, left)).encode()))
                left = sorted(order.sample(left, len(left))[:count])
        works_on.append(frozenset(left))
    return works_on


@QUICK
@given(params())
def test_whatever_is_sampled_is_valid_and_survives_a_round_trip(proposed: dict[str, Any]) -> None:
    config = SPACE.config(proposed)
    assert 1 <= config.k1 <= LAYERS - 2
    assert config.k1 < config.k2 <= LAYERS - 1
    assert config.seed == 3
    back = SPACE.params(config)
    assert SPACE.holds(back)
    again = SPACE.config(back)
    assert SearchSpace.effect_key(again, COUNTS) == SearchSpace.effect_key(config, COUNTS)
    assert again == config or 0 in (config.r1, config.r2)
    for name, bounds in SPACE.distributions.items():
        assert bounds._contains(bounds.to_internal_repr(back[name])), name


@pytest.mark.parametrize("layers", [3, 4, 32])
def test_the_bounds_follow_the_depth(layers: int) -> None:
    space, source = SearchSpace(layers), random.Random(1)
    drawn = [space.draw(source) for _ in range(300)]
    assert {config.k1 for config in drawn} == set(range(1, layers - 1))
    assert max(config.k2 for config in drawn) == layers - 1
    assert {config.phi_deep for config in drawn} == set(DEEP)


def test_the_searched_criteria_exist_and_are_no_controls() -> None:
    assert set(SHALLOW) | set(DEEP) <= set(criteria.names()) - {"random", "uniform", "downsample"}


@pytest.mark.parametrize(
    "config",
    [
        PruningConfig(2, 50, 8, 75, "random", "random"),
        PruningConfig(2, 50.5, 8, 75),
        PruningConfig(LAYERS - 1, 50, LAYERS, 0),
    ],
)
def test_what_lies_outside_of_the_space_is_known_to(config: PruningConfig) -> None:
    assert not SPACE.holds(SPACE.params(config))


def test_a_coarse_space_is_a_grid() -> None:
    space, source = SearchSpace(LAYERS, layer_step=3, percent_step=25), random.Random(0)
    drawn = [space.draw(source) for _ in range(500)]
    assert {c.k1 for c in drawn} == {1, 4, 7, 10}
    assert {c.r1 for c in drawn} == {0, 25, 50, 75, 100}
    assert not space.holds(space.params(PruningConfig(2, 50, 8, 75)))


@QUICK
@given(alike())
def test_equal_keys_keep_the_same_tokens_and_unlike_keys_differ(pair: tuple[PruningConfig, PruningConfig]) -> None:
    one, other = pair
    same = [kept_tokens(one, n) == kept_tokens(other, n) for n in COUNTS]
    assert (SearchSpace.effect_key(one, COUNTS) == SearchSpace.effect_key(other, COUNTS)) == all(same)


def test_configurations_that_do_the_same() -> None:
    dense = SearchSpace.effect_key(PruningConfig.dense(), [144])
    assert SearchSpace.effect_key(PruningConfig(3, 0, 9, 0.5, "random", "last_token", 7), [144]) == dense
    assert SearchSpace.effect_key(PruningConfig(3, 0, 9, 0.5), [144, 400]) != dense
    emptied = SearchSpace.effect_key(PruningConfig(2, 100, 5, 50), [144])
    assert SearchSpace.effect_key(PruningConfig(2, 100, 7, 90, "random", "random", 1), [144]) == emptied
    fastv = PruningConfig.fastv()
    assert SearchSpace.effect_key(fastv, [144]) == SearchSpace.effect_key(
        PruningConfig(2, 50, 9, 0, "last_token", "random"), [144]
    )
    assert SearchSpace.effect_key(fastv, [144]) != SearchSpace.effect_key(
        PruningConfig(2, 50, 9, 0, "instruction"), [144]
    )


@pytest.mark.parametrize("cut", ["phi_shallow", "phi_deep"])
def test_the_seed_of_the_random_criterion_is_part_of_the_effect(cut: str) -> None:
    first, second = (replace(PruningConfig.paper(), seed=seed, **{cut: "random"}) for seed in (0, 1))
    assert SearchSpace.effect_key(first, [144]) != SearchSpace.effect_key(second, [144])
    plain = (replace(PruningConfig.paper(), seed=seed) for seed in (0, 1))
    assert len({SearchSpace.effect_key(config, [144]) for config in plain}) == 1


@pytest.mark.parametrize("cut_layers", [(), (4, 8), (3, 6, 9, 11)])
def test_cuts_move_to_the_layers_behind_attention(cut_layers: tuple[int, ...]) -> None:
    space, source = SearchSpace(LAYERS, cut_layers=cut_layers), random.Random(2)
    allowed, axes = set(cut_layers or range(1, LAYERS)), Axes(space)
    found = set()
    for row in axes.draw(300, np.random.default_rng(0)):
        config = space.config(axes.params(row))
        assert {config.k1, config.k2} <= allowed
        shares = axes.points(axes.vectors(row[None])).shares[0]
        first = 1 - config.r1 / 100
        expected = [1.0] * config.k1 + [first] * (config.k2 - config.k1)
        expected += [first * (1 - config.r2 / 100)] * (LAYERS - config.k2)
        np.testing.assert_allclose(shares, expected)
        found |= {config.k1, config.k2}
    assert found == allowed
    assert {space.draw(source).k1 for _ in range(200)} == allowed - {max(allowed)}
