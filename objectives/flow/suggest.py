"""Suggest the configurations that a search should try early, from a measured flow. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from himap import PruningConfig

ENDED = 0.95  # the share of the visual-textual flow after which it counts as over
_HALF = 0.5


@dataclass(frozen=True)
class Ranges:
    """The layers in front of which cuts should lose little, as ranges that include both ends.

    `k1`: from the layer by which half of the visual-textual flow has passed to the one by which 95 % has. `k2`: to the
    last layer, from `turn`, from which on the bias ratio stays above 0, else (None) from where 95 % of the intra-visual
    flow has passed.
    """

    k1: tuple[int, int]
    k2: tuple[int, int]
    turn: int | None


def layers_until(flow: Sequence[float], part: float) -> int:
    """Return how many layers, from the first one, carry the share `part` of a flow."""
    total, sum_ = sum(flow), 0.0
    for layer, value in enumerate(flow):
        sum_ += value
        if sum_ >= part * total:
            return layer + 1
    return len(flow)


def turning_layer(ratio: Sequence[Mapping[str, float] | None]) -> int | None:
    """Return the layer from which on every known bias ratio is above 0; None if the last known one is not."""
    turn = None
    for layer in reversed(range(len(ratio))):
        value = ratio[layer]
        if value is not None and value["mean"] <= 0:
            break
        if value is not None:
            turn = layer
    return turn


def ranges(flow: Mapping[str, Any]) -> Ranges:
    """Return ranges for K1 and K2 from a complete stored flow.

    Raises:
        ValueError: the flow has no summary yet.
    """
    summary = flow.get("summary")
    if summary is None:
        raise ValueError("got a flow that is not complete; run the same command of objectives.flow again")
    layers = summary["layers"]
    text, visual = ([row["mean"] for row in summary["saliency"][name]] for name in ("visual_textual", "intra_visual"))
    low, high = (min(layers_until(text, part), layers - 2) for part in (_HALF, ENDED))
    turn = turning_layer(summary["bias_ratio"])
    first = layers_until(visual, ENDED) if turn is None else turn
    first = min(max(first, low + 1), layers - 1)
    return Ranges((low, high), (first, layers - 1), turn)


def suggest(flow: Mapping[str, Any]) -> list[PruningConfig]:
    """Return at most six configurations at the ends of `ranges`, mild and hard, with the paper's criteria.

    The last one drops nearly every image token where visual-textual flow has ended.

    Raises:
        ValueError: the flow has no summary yet.
    """
    where = ranges(flow)
    chosen = []
    for k1 in where.k1:
        k2 = min(max(where.k2[0], k1 + 1), where.k2[1])
        chosen += [PruningConfig(k1, 50, k2, 75), PruningConfig(k1, 75, k2, 90)]
    late = where.k1[1]
    chosen += [PruningConfig(where.k1[0], 90, where.k2[1], 50), PruningConfig(late, 95, late + 1, 0)]
    return list(dict.fromkeys(chosen))
