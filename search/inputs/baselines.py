"""The baselines that every study measures first."""

from __future__ import annotations

from dataclasses import replace

from himap import PruningConfig
from objectives.evaluation.checkpoints import Target
from storage.records import Origin


def baselines(target: Target) -> list[tuple[Origin, PruningConfig]]:
    """Return the baselines that fit the depth of the target's decoder, in the order of their measurement.

    The paper's two settings differ in their second cut: layer 8 for short answers, layer 15 for long ones; a
    shallower model takes the latter at its last layer. The controls drop as much as the paper's first setting, in
    the same layers.
    """
    paper, last = PruningConfig.paper(), target.shape.layers - 1
    known: list[tuple[Origin, PruningConfig]] = [
        ("dense", PruningConfig.dense()),
        ("fastv", PruningConfig.fastv(target.fastv_k)),
        ("paper", paper),
        ("paper_long", replace(paper, k2=max(paper.k2, min(15, last)))),
    ]
    for name in ("random", "uniform", "downsample"):
        known.append((name, replace(paper, phi_shallow=name, phi_deep=name)))
    return [(origin, config) for origin, config in known if config.k2 <= last]
