"""The pruning configuration: rounding, ranges and baselines."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest

from himap import ConfigError, PruningConfig


@pytest.mark.parametrize(
    ("n", "r1", "r2", "kept"),
    [
        (576, 50, 75, (288, 72)),
        (576, 0, 0, (576, 576)),
        (576, 100, 50, (0, 0)),
        (10, 100 / 3, 0, (7, 7)),
        (10, 9.99, 10, (10, 9)),
        (1, 99.9, 99.9, (1, 1)),
        (0, 50, 50, (0, 0)),
        (375, 18.4, 0, (306, 306)),  # 375 * 18.4 / 100 is 69, in floating point 68.99999999999999
    ],
)
def test_kept_tokens(n: int, r1: float, r2: float, kept: tuple[int, int]) -> None:
    assert PruningConfig(2, r1, 8, r2).kept(n) == kept


def test_dropped_is_the_floor_of_the_exact_share() -> None:
    for n in range(1, 200):
        for tenths in range(0, 1001, 7):
            exact = math.floor(Fraction(tenths, 1000) * n)
            assert PruningConfig(1, tenths / 10, 2, 0).kept(n)[0] == n - exact, (n, tenths)


def test_baselines() -> None:
    assert PruningConfig.dense().is_dense
    assert PruningConfig.dense().cuts == ()
    paper = PruningConfig.paper()
    assert (paper.k1, paper.r1, paper.k2, paper.r2) == (2, 50, 8, 75)
    assert (paper.phi_shallow, paper.phi_deep) == ("instruction", "intra_column")
    assert [(cut.layer, cut.percent, cut.criterion) for cut in PruningConfig.fastv(3).cuts] == [(3, 50, "last_token")]
    assert not paper.is_dense


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"k1": 0}, "k1 must be at least 1"),
        ({"k1": 8}, "k2 must be greater than k1, got k1=8, k2=8"),
        ({"k1": 2.0}, "k1 must be a whole number, got 2.0"),
        ({"k2": True}, "k2 must be a whole number, got True"),
        ({"r1": -1}, "r1 must be a percentage from 0 to 100, got -1"),
        ({"r2": 100.5}, "r2 must be a percentage"),
        ({"r2": math.nan}, "r2 must be a percentage"),
        ({"r1": "50"}, "r1 must be a percentage"),
        ({"r1": True}, "r1 must be a percentage"),
        ({"seed": "0"}, "seed must be a whole number"),
        ({"phi_deep": "best"}, "phi_deep must be one of all_text, .*; got 'best'"),
        ({"phi_shallow": []}, "phi_shallow must be one of"),
        ({"k3": 4}, "unknown field k3; known are k1"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PruningConfig.from_dict({**PruningConfig.paper().as_dict(), **values})


def test_as_dict_and_from_dict_are_inverse() -> None:
    config = PruningConfig(3, 12.5, 9, 80, "random", "last_token", seed=5)
    assert PruningConfig.from_dict(config.as_dict()) == config
    assert PruningConfig.from_dict({"k1": 2, "r1": 50, "k2": 8, "r2": 75}) == PruningConfig.paper()
    with pytest.raises(ConfigError, match="missing field r1, r2"):
        PruningConfig.from_dict({"k1": 2, "k2": 8})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PruningConfig(3, 0, 9, 0, "random", "last_token", 7), PruningConfig.dense()),
        (PruningConfig(2, 50, 9, 0, "last_token", "random", 5), PruningConfig.fastv()),
        (PruningConfig(1, 0, 2, 50, "random", "last_token", 5), PruningConfig.fastv()),
        (PruningConfig(2, 100, 5, 50, "random"), PruningConfig(2, 100, 7, 90, "max_head", "random", 1)),
        (PruningConfig(2, 50, 8, 100, phi_deep="random", seed=3), PruningConfig(2, 50.0, 8, 100)),
    ],
)
def test_what_has_no_effect_is_not_in_the_canonical_form(one: PruningConfig, other: PruningConfig) -> None:
    assert one.canonical() == other.canonical()
    assert one.canonical().canonical() == one.canonical()


def test_what_has_an_effect_stays_in_the_canonical_form() -> None:
    paper = PruningConfig.paper()
    assert paper.canonical() == paper
    seeded = [PruningConfig(2, 50, 8, 75, "random", seed=seed) for seed in (0, 1)]
    assert seeded[0].canonical() != seeded[1].canonical()
    for change in ({"k1": 3}, {"r1": 51}, {"k2": 9}, {"r2": 76}, {"phi_shallow": "uniform"}, {"phi_deep": "uniform"}):
        assert replace(paper, **change).canonical() != paper.canonical()
