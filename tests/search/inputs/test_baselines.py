"""What every study measures first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from objectives.evaluation.checkpoints import resolve
from search.inputs.baselines import baselines
from search.reporting.opening import _cut_lines


def test_a_shallow_model_takes_the_papers_second_cut_at_its_last_layer(tiny: Path) -> None:
    target = resolve(str(tiny))
    configs = dict(baselines(target))
    assert list(configs) == ["dense", "fastv", "paper", "paper_long", "random", "uniform", "downsample"]
    assert (configs["paper"].k2, configs["paper_long"].k2) == (8, 11)
    assert configs["uniform"].kept(144) == configs["paper"].kept(144)


def test_baselines_below_a_cut_of_the_paper_are_left_out(tiny: Path) -> None:
    target = resolve(str(tiny))
    shallow = replace(target, shape=replace(target.shape, layers=8))
    assert [origin for origin, _ in baselines(shallow)] == ["dense", "fastv"]


def test_baselines_move_to_the_layers_behind_attention(tiny: Path) -> None:
    target = resolve(str(tiny))
    hybrid = replace(target, shape=replace(target.shape, layers=18), cut_layers=(4, 8, 12, 16))
    configs = dict(baselines(hybrid))
    cuts = {origin: (config.k1, config.k2) for origin, config in configs.items() if origin != "dense"}
    assert cuts.pop("fastv")[0] == 4
    assert cuts.pop("paper_long") == (4, 16)
    assert set(cuts.values()) == {(4, 8)}
    assert [origin for origin, _ in baselines(replace(hybrid, cut_layers=(4,)))] == ["dense", "fastv"]
    assert _cut_lines(target) == []
    assert "at layers 4, 8, 12, 16" in _cut_lines(hybrid)[0]
