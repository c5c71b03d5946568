"""The cuts of a configuration on one model: each with its criterion and the layer whose attention it reads."""

from __future__ import annotations

from dataclasses import dataclass

from himap.config import Cut, PruningConfig
from himap.criteria import create
from himap.criteria.base import Criterion
from himap.errors import ConfigError
from himap.families.family import Family


@dataclass(frozen=True)
class PlannedCut:
    """A cut on one model.

    Attributes:
        cut: the layer and the percentage.
        criterion: ranks the tokens.
        source: the layer whose attention the criterion reads; None if it reads none.
    """

    cut: Cut
    criterion: Criterion
    source: int | None


def plan(config: PruningConfig, family: Family) -> dict[int, PlannedCut]:
    """Return the cuts that are switched on, by layer.

    Raises:
        ConfigError: a cut lies beyond the last layer, or has no attention of its own to rank by.
    """
    planned: dict[int, PlannedCut] = {}
    for cut in config.cuts:
        which = "k1" if cut.layer == config.k1 else "k2"
        if cut.layer >= len(family.layers):
            raise ConfigError(
                f"{which}={cut.layer} must be below the model's {len(family.layers)} layers, or its r be 0"
            )
        criterion = create(cut.criterion, config.seed)
        source = _source(cut, criterion, family, which)
        if source is not None and any(other.source == source for other in planned.values()):
            raise ConfigError(
                f"got k1={config.k1} and k2={config.k2}, which both rank by the attention of layer {source}, the only "
                f"one in front of them; expected an attention layer between them; set k2 to {_expected(family)}"
            )
        planned[cut.layer] = PlannedCut(cut, criterion, source)
    return planned


def _source(cut: Cut, criterion: Criterion, family: Family, which: str) -> int | None:
    """Return the attention layer that a criterion reads, the nearest in front of its cut."""
    if criterion.rows == "none" and not criterion.needs & {"keys", "values"}:
        return None
    source = family.ranking_layer(cut.layer)
    if source is None:
        raise ConfigError(
            f"got {which}={cut.layer} with {cut.criterion}, which ranks by attention, but no layer in front computes "
            f"any; expected a layer behind an attention layer; set {which} to {_expected(family)}"
        )
    return source


def _expected(family: Family) -> str:
    layers = ", ".join(map(str, family.cut_layers[:8]))
    return f"one of {layers}" + (", ..." if len(family.cut_layers) > 8 else "")
