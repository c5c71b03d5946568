"""What every study measures first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from objectives.evaluation.checkpoints import resolve
from search.inputs.baselines import baselines


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
