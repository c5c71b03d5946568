"""The space of configurations, and when two of them are the same."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from himap import PruningConfig

VERSION = "two-cuts-2"

# Early on, text asks the image: what instruction rows attend to, and what tells tokens apart without
# attention. Deeper, image tokens have told each other: what they receive from each other joins in. The
# controls (random, uniform, downsample) are measured beside the search and not searched.
SHALLOW = ("instruction", "last_token", "all_text", "max_head", "intra_column", "key_norm", "diversity", "duplication")
DEEP = ("intra_column", "intra_column_mean", "instruction", "last_token", "max_head", "diversity", "duplication")


@dataclass(frozen=True)
class SearchSpace:
    """K1 in 1..L-2, K2 in K1+1..L-1, R1 and R2 in whole percents, and a criterion for each cut.

    K2 is searched as its distance from K1, so that the bounds are fixed; beyond the last layer it is clipped.
    With steps above 1 it is a coarse grid of that: every `layer_step`-th layer and distance from 1 on, every
    `percent_step`-th percentage from 0 on.
    """

    layers: int
    seed: int = 0
    shallow: tuple[str, ...] = SHALLOW
    deep: tuple[str, ...] = DEEP
    layer_step: int = 1
    percent_step: int = 1

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        layers = range(1, self.layers - 1, self.layer_step)
        percents = range(0, 101, self.percent_step)
        return {
            "k1": IntDistribution(1, layers[-1], step=self.layer_step),
            "gap": IntDistribution(1, layers[-1], step=self.layer_step),
            "r1": IntDistribution(0, percents[-1], step=self.percent_step),
            "r2": IntDistribution(0, percents[-1], step=self.percent_step),
            "phi_shallow": CategoricalDistribution(self.shallow),
            "phi_deep": CategoricalDistribution(self.deep),
        }

    def draw(self, source: random.Random) -> PruningConfig:
        """A configuration drawn uniformly, without a sampler."""
        params: dict[str, Any] = {}
        for name, bounds in self.distributions.items():
            params[name] = source.choice(choices(bounds))
        return self.config(params)

    def config(self, params: dict[str, Any]) -> PruningConfig:
        k2 = min(params["k1"] + params["gap"], self.layers - 1)
        return PruningConfig(
            params["k1"], params["r1"], k2, params["r2"], params["phi_shallow"], params["phi_deep"], self.seed
        )

    def params(self, config: PruningConfig) -> dict[str, Any]:
        """The reverse of `config`, also of a configuration outside of the space, such as a control.

        The criterion of a cut that is switched off says nothing and may be any.
        """
        r1, r2 = (int(r) if r == int(r) else r for r in (config.r1, config.r2))  # a store has 50.0
        return {
            "k1": config.k1,
            "gap": config.k2 - config.k1,
            "r1": r1,
            "r2": r2,
            "phi_shallow": config.phi_shallow if config.r1 > 0 else self.shallow[0],
            "phi_deep": config.phi_deep if config.r2 > 0 else self.deep[0],
        }

    def holds(self, params: dict[str, Any]) -> bool:
        """Whether parameters lie in the space."""
        return all(params[name] in choices(bounds) for name, bounds in self.distributions.items())


def choices(bounds: BaseDistribution) -> Sequence[Any]:
    """Every value of a parameter, in order."""
    if isinstance(bounds, IntDistribution):
        return range(bounds.low, bounds.high + 1, bounds.step)
    assert isinstance(bounds, CategoricalDistribution), "the space has no other kind"
    return bounds.choices


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
