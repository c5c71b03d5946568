"""The space of configurations, and when two of them have the same effect."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from himap import PruningConfig
from himap.criteria import reads_seed

VERSION = "two-cuts-2"

# In shallow layers text attends to the image: what instruction rows attend to, and what tells tokens apart without
# attention. In deep layers image tokens have exchanged information, so the attention among them joins in. The
# controls (random, uniform, downsample) are measured as baselines and not searched.
SHALLOW = ("instruction", "last_token", "all_text", "max_head", "intra_column", "key_norm", "diversity", "duplication")
DEEP = ("intra_column", "intra_column_mean", "instruction", "last_token", "max_head", "diversity", "duplication")

EffectKey = tuple[Any, ...]


@dataclass(frozen=True)
class SearchSpace:
    """K1 in 1..L-2, K2 in K1+1..L-1, R1 and R2 in whole percents, and a criterion for each cut.

    K2 is searched as its distance from K1, so that the bounds are fixed; beyond the last layer it is clipped. Steps
    above 1 make a coarse grid: every `layer_step`-th layer and distance from 1, every `percent_step`-th percentage
    from 0. With `cut_layers`, K1 and K2 move to the nearest of them, because no other layer has attention of its own to
    rank by.
    """

    layers: int
    seed: int = 0
    shallow: tuple[str, ...] = SHALLOW
    deep: tuple[str, ...] = DEEP
    layer_step: int = 1
    percent_step: int = 1
    cut_layers: tuple[int, ...] = ()

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The parameters with their ranges, as Optuna takes them."""
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

    def draw(self, rng: random.Random) -> PruningConfig:
        """Return a configuration drawn uniformly at random."""
        return self.config({name: rng.choice(choices(bounds)) for name, bounds in self.distributions.items()})

    def config(self, params: dict[str, Any]) -> PruningConfig:
        """Return the configuration of these parameters."""
        k1, k2 = self.snapped(params["k1"], params["k1"] + params["gap"])
        return PruningConfig(k1, params["r1"], k2, params["r2"], params["phi_shallow"], params["phi_deep"], self.seed)

    def snapped(self, k1: int, k2: int) -> tuple[int, int]:
        """Return the layers of the space nearest to two cuts; of two equally near, the one in front."""
        layers = self.cut_layers or range(1, self.layers)
        first = min(layers[:-1], key=lambda layer: abs(layer - k1))
        return first, min((layer for layer in layers if layer > first), key=lambda layer: abs(layer - k2))

    def params(self, config: PruningConfig) -> dict[str, Any]:
        """Return the parameters of a configuration, which may lie outside the space, as a control does.

        The criterion of a cut that is switched off has no effect; the first of the space stands in for it.
        """
        r1, r2 = (int(r) if r == int(r) else r for r in (config.r1, config.r2))  # a store holds 50.0
        return {
            "k1": config.k1,
            "gap": config.k2 - config.k1,
            "r1": r1,
            "r2": r2,
            "phi_shallow": config.phi_shallow if config.r1 > 0 else self.shallow[0],
            "phi_deep": config.phi_deep if config.r2 > 0 else self.deep[0],
        }

    def holds(self, params: dict[str, Any]) -> bool:
        """Return whether the parameters lie in the space."""
        return all(params[name] in choices(bounds) for name, bounds in self.distributions.items())

    @staticmethod
    def effect_key(config: PruningConfig, image_tokens: Iterable[int]) -> EffectKey:
        """Return what a configuration does to images of these token counts: equal keys keep the same tokens.

        A cut that drops nothing does not count, nor does a criterion that chooses all or nothing, nor a seed that no
        criterion reads.
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
                seed = config.seed if chooses and reads_seed(criterion) else None
                key.append((layer, tuple(after), criterion if chooses else None, seed))
            before = after
        return tuple(key)


def choices(bounds: BaseDistribution) -> Sequence[Any]:
    """Return every value of a parameter, in order."""
    if isinstance(bounds, IntDistribution):
        return range(bounds.low, bounds.high + 1, bounds.step)
    assert isinstance(bounds, CategoricalDistribution), "the space has no other kind"
    return bounds.choices
