"""From a measured flow to the configurations that a search should try early. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from himap import PruningConfig

ENDED = 0.95  # the part of the visual-textual flow behind which it counts as over
_HALF = 0.5


@dataclass(frozen=True)
class Ranges:
    """Where cuts should be cheap, both ends included: layers in front of which to cut.

    `k1`: from where half of the visual-textual flow has passed to where 95 % has. `k2`: from where the bias
    ratio turns to intra-visual flow for good, or, if it never does, from where 95 % of that flow has passed,
    to the last layer. `turn` is the first of those layers, None if the ratio never turns.
    """

    k1: tuple[int, int]
    k2: tuple[int, int]
    turn: int | None


def layers_until(flow: Sequence[float], part: float) -> int:
    """How many layers, from the first, carry `part` of the sum of a flow."""
    total, sum_ = sum(flow), 0.0
    for layer, value in enumerate(flow):
        sum_ += value
        if sum_ >= part * total:
            return layer + 1
    return len(flow)


def turning_layer(ratio: Sequence[Mapping[str, float] | None]) -> int | None:
    """The layer from which on every known bias ratio is above 0; None if the last known one is not."""
    turn = None
    for layer in reversed(range(len(ratio))):
        each = ratio[layer]
        if each is not None and each["mean"] <= 0:
            break
        if each is not None:
            turn = layer
    return turn


def ranges(flow: Mapping[str, Any]) -> Ranges:
    """Ranges for K1 and K2, from a stored flow that is complete.

    Raises:
        ValueError: the flow has no summary yet.
    """
    found = flow.get("summary")
    if found is None:
        raise ValueError("got a flow that is not complete; measure it to its end first")
    layers = found["layers"]
    text, visual = ([each["mean"] for each in found["saliency"][name]] for name in ("visual_textual", "intra_visual"))
    low, high = (min(layers_until(text, part), layers - 2) for part in (_HALF, ENDED))
    turn = turning_layer(found["bias_ratio"])
    first = layers_until(visual, ENDED) if turn is None else turn
    first = min(max(first, low + 1), layers - 1)
    return Ranges((low, high), (first, layers - 1), turn)


def suggest(flow: Mapping[str, Any]) -> list[PruningConfig]:
    """At most six configurations at the ends of `ranges`, mild and hard, by the paper's criteria.

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
