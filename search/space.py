"""The space of configurations, and when two of them are the same."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from himap import PruningConfig, criteria

VERSION = "two-cuts-1"


@dataclass(frozen=True)
class SearchSpace:
    """K1 in 1..L-2, K2 in K1+1..L-1, R1 and R2 in whole percents, and a criterion for each cut.

    K2 is searched as its distance from K1, so that the bounds are fixed; beyond the last layer it is clipped.
    """

    layers: int
    seed: int = 0

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        names = list(criteria.names())
        return {
            "k1": IntDistribution(1, self.layers - 2),
            "gap": IntDistribution(1, self.layers - 2),
            "r1": IntDistribution(0, 100),
            "r2": IntDistribution(0, 100),
            "phi_shallow": CategoricalDistribution(names),
            "phi_deep": CategoricalDistribution(names),
        }

    def draw(self, source: random.Random) -> PruningConfig:
        """A configuration drawn uniformly, without a sampler."""
        params: dict[str, Any] = {}
        for name, bounds in self.distributions.items():
            if isinstance(bounds, IntDistribution):
                params[name] = source.randint(bounds.low, bounds.high)
            elif isinstance(bounds, CategoricalDistribution):
                params[name] = source.choice(bounds.choices)
        return self.config(params)

    def config(self, params: dict[str, Any]) -> PruningConfig:
        k2 = min(params["k1"] + params["gap"], self.layers - 1)
        return PruningConfig(
            params["k1"], params["r1"], k2, params["r2"], params["phi_shallow"], params["phi_deep"], self.seed
        )

    def params(self, config: PruningConfig) -> dict[str, Any]:
        """The reverse of `config`; percents are rounded to whole ones."""
        return {
            "k1": config.k1, "gap": config.k2 - config.k1, "r1": round(config.r1), "r2": round(config.r2),
            "phi_shallow": config.phi_shallow, "phi_deep": config.phi_deep,
        }  # fmt: skip


def effective(config: PruningConfig, image_tokens: Iterable[int]) -> tuple[Any, ...]:
    """What a configuration does to images of these token counts: equal keys keep the same tokens.

    A cut that drops nothing has no part in it, nor has a criterion that chooses all or nothing, nor a seed
    that nobody reads.
    """
    counts = sorted(set(image_tokens))
    kept = [config.kept(n) for n in counts]
    key: list[Any] = []
    before = counts
    for layer, criterion, after in (
        (config.k1, config.phi_shallow, [k for k, _ in kept]),
        (config.k2, config.phi_deep, [k for _, k in kept]),
    ):
        if after != before:
            chooses = any(0 < k < n for k, n in zip(after, before, strict=True))
            seed = config.seed if chooses and criterion == "random" else None
            key.append((layer, tuple(after), criterion if chooses else None, seed))
        before = after
    return tuple(key)
