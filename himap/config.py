"""Settings of pruning: where to cut, how much, and by which criterion."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from himap import criteria
from himap.errors import ConfigError, shown

Video = Literal["visual", "per_frame", "text"]


def check_video(video: str) -> None:
    """Raise ConfigError for a name that is none of `Video`."""
    if video not in get_args(Video):
        raise ConfigError(f"video must be one of {', '.join(get_args(Video))}; got {shown(video)}")


@dataclass(frozen=True)
class Cut:
    """One cut: `percent` % of the image tokens left are dropped in front of decoder layer `layer` (0-based)."""

    layer: int
    percent: float
    criterion: str

    def dropped(self, n: int) -> int:
        """Return how many of `n` image tokens are dropped: floor(n * percent / 100), safe against binary rounding."""
        return min(n, math.floor(n * self.percent / 100 + 1e-9))


@dataclass(frozen=True)
class PruningConfig:
    """The settings of HiMAP: two layers, two percentages and two criteria.

    At layer `k1`, `r1` percent of the image tokens are dropped; at layer `k2` > `k1`, `r2` percent *of those
    left*. "At layer K" means that K layers run on the full set and the tokens are ranked by the attention of
    layer K-1 (0-based), so K >= 1.

    Rounding: a cut of R percent drops floor(n * R / 100) of n tokens and keeps the rest. A percentage that
    amounts to less than one token drops nothing; R = 100 drops every image token; R = 0 switches the cut off.
    Ties in a ranking keep the earlier token.

    Args:
        k1, k2: decoder layers, 1 <= k1 < k2. They must be below the model's number of layers if they cut.
        r1, r2: percent, 0 to 100.
        phi_shallow, phi_deep: names of the criteria at k1 and k2, see `himap.criteria.names()`.
        seed: read by seeded criteria (`random`) only.

    Raises:
        ConfigError: a value of the wrong type or out of range, or an unknown criterion.
    """

    k1: int
    r1: float
    k2: int
    r2: float
    phi_shallow: str = "instruction"
    phi_deep: str = "intra_column"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("k1", "k2", "seed"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigError(f"{name} must be a whole number, got {shown(value)}")
        for name in ("r1", "r2"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
                raise ConfigError(f"{name} must be a percentage from 0 to 100, got {shown(value)}")
        if self.k1 < 1:
            raise ConfigError(f"k1 must be at least 1 (scores come from layer k1-1), got {shown(self.k1)}")
        if self.k2 <= self.k1:
            raise ConfigError(f"k2 must be greater than k1, got k1={shown(self.k1)}, k2={shown(self.k2)}")
        for name in ("phi_shallow", "phi_deep"):
            if getattr(self, name) not in criteria.names():
                known = ", ".join(criteria.names())
                raise ConfigError(f"{name} must be one of {known}; got {shown(getattr(self, name))}")

    @classmethod
    def dense(cls) -> PruningConfig:
        """Return the configuration that drops nothing."""
        return cls(k1=1, r1=0, k2=2, r2=0)

    @classmethod
    def fastv(cls, k: int = 2, r: float = 50) -> PruningConfig:
        """Return FastV: one cut, ranked by the last token's attention (its paper: K = 2 for 7B, 3 for 13B)."""
        return cls(k1=k, r1=r, k2=k + 1, r2=0, phi_shallow="last_token")

    @classmethod
    def paper(cls) -> PruningConfig:
        """Return HiMAP's published setting for question answering: 50 % at layer 2, then 75 % at layer 8."""
        return cls(k1=2, r1=50, k2=8, r2=75)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The cuts that are switched on, shallow first."""
        both = (Cut(self.k1, self.r1, self.phi_shallow), Cut(self.k2, self.r2, self.phi_deep))
        return tuple(cut for cut in both if cut.percent > 0)

    @property
    def is_dense(self) -> bool:
        """True if nothing is ever dropped."""
        return not self.cuts

    def canonical(self) -> PruningConfig:
        """Return the same pruning with everything that has no effect at a fixed value.

        Two configurations have equal canonical forms if they name the same cuts: a cut that is switched off, a cut
        of what another one dropped, the criterion of a cut that drops all, and a seed that no criterion reads do not
        count, and a single cut is a shallow one.
        """
        cuts = list(self.cuts)
        if cuts and cuts[0].percent == 100:
            cuts = cuts[:1]
        cuts = [replace(cut, criterion=self.dense().phi_shallow) if cut.percent == 100 else cut for cut in cuts]
        seed = self.seed if any(criteria.reads_seed(cut.criterion) for cut in cuts) else 0
        if not cuts:
            return PruningConfig.dense()
        if len(cuts) == 1:
            return PruningConfig(cuts[0].layer, cuts[0].percent, cuts[0].layer + 1, 0, cuts[0].criterion, seed=seed)
        first, second = cuts
        return PruningConfig(
            first.layer, first.percent, second.layer, second.percent, first.criterion, second.criterion, seed
        )

    def kept(self, n: int) -> tuple[int, int]:
        """Return how many of `n` image tokens are left after k1 and after k2."""
        after_k1 = n - Cut(self.k1, self.r1, self.phi_shallow).dropped(n)
        return after_k1, after_k1 - Cut(self.k2, self.r2, self.phi_deep).dropped(after_k1)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, fit for YAML or JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PruningConfig:
        """Return the configuration of such values; the criteria and the seed may be left out.

        Raises:
            ConfigError: no mapping, unknown or missing fields, or values that the constructor refuses.
        """
        if not isinstance(values, dict):
            raise ConfigError(f"got {shown(values)}; expected a mapping with k1, r1, k2 and r2")
        known = [field.name for field in fields(cls)]
        if unknown := sorted(str(key) for key in values if key not in known):
            raise ConfigError(f"unknown field {', '.join(unknown)}; known are {', '.join(known)}")
        if missing := [key for key in ("k1", "r1", "k2", "r2") if key not in values]:
            raise ConfigError(f"missing field {', '.join(missing)}")
        return cls(**values)
