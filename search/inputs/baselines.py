"""The baselines that every study measures first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from himap import PruningConfig
from objectives.evaluation.checkpoints import Target
from storage.records import Origin


def baselines(target: Target) -> list[tuple[Origin, PruningConfig]]:
    """Return the baselines that fit the depth of the target's decoder, in the order of their measurement.

    The paper's two settings differ in their second cut: layer 8 for short answers, layer 15 for long ones; a
    shallower model takes the latter at its last layer. The controls drop as much as the paper's first setting, in
    the same layers. Where a layer in front of a cut computes no attention, the cut moves to the nearest layer behind
    one that does.
    """
    last = target.shape.layers - 1
    fitting = [layer for layer in target.cut_layers if layer <= last]
    paper = _moved(PruningConfig.paper(), fitting, last)
    known: list[tuple[Origin, PruningConfig]] = [
        ("dense", PruningConfig.dense()),
        ("fastv", PruningConfig.fastv(nearest(target.fastv_k, fitting))),
        ("paper", paper),
        ("paper_long", _moved(replace(paper, k2=max(paper.k2, min(15, last))), fitting, last)),
    ]
    for name in ("random", "uniform", "downsample"):
        known.append((name, replace(paper, phi_shallow=name, phi_deep=name)))
    return [(origin, config) for origin, config in known if {cut.layer for cut in config.cuts} <= set(fitting)]


def nearest(layer: int, layers: Sequence[int]) -> int:
    """Return the layer nearest to another, of two equally near the one in front."""
    return min(layers, key=lambda one: abs(one - layer))


def _moved(config: PruningConfig, layers: Sequence[int], last: int) -> PruningConfig:
    """Return a configuration with its cuts at the nearest layers; unchanged where they are too few or too shallow."""
    k1 = nearest(config.k1, layers)
    deeper = [layer for layer in layers if layer > k1]
    if not deeper or config.k2 > last:
        return config
    return replace(config, k1=k1, k2=nearest(config.k2, deeper))
