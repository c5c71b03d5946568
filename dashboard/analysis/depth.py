"""How many layers the decoder has: trials do not say, but their paper FLOPs do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from storage.confirmation import Confirmation
from storage.records import Trial

_DEEPEST = 200
_EXACT = 1e-3  # of the cost; images of several sizes leave a little, a wrong depth leaves far more


@dataclass(frozen=True)
class Depth:
    """A number of decoder layers; not `known` means that there are at least so many."""

    layers: int
    known: bool


def decoder_depth(trials: Sequence[Trial], confirmations: Iterable[Confirmation] = ()) -> Depth:
    """The number of layers L that explains the paper FLOPs of the trials.

    Eq. 10 of the paper: K1·Ω(n) + (K2-K1)·Ω(n1) + (L-K2)·Ω(n2) with Ω(n) = αn + βn². For each L this is
    linear in α and β, so the L that fits best is searched. Confirmations carry the depth itself.
    """
    told = max((one.layers for one in confirmations), default=0)
    if told:
        return Depth(told, True)
    usable = [t for t in trials if np.isfinite([t.paper_flops, t.image_tokens, t.tokens_after_k2]).all()]
    least = max((t.k2 for t in trials if t.r2 > 0), default=1) + 1
    usable = usable[:200]
    if len(usable) < 3:
        return Depth(least, False)
    cost = np.array([t.paper_flops for t in usable])
    misses = [_miss(usable, cost, layers) for layers in range(least, _DEEPEST)]
    best = int(np.argmin(misses))
    found = misses[best] < _EXACT and len({(t.k1, t.k2) for t in usable}) > 1
    return Depth(least + best, True) if found else Depth(least, False)


def _miss(trials: Sequence[Trial], cost: np.ndarray, layers: int) -> float:
    """The relative error that the best α and β leave for this number of layers."""
    terms = []
    for power in (1, 2):
        terms.append(
            [
                t.k1 * t.image_tokens**power
                + (t.k2 - t.k1) * t.tokens_after_k1**power
                + (layers - t.k2) * t.tokens_after_k2**power
                for t in trials
            ]
        )
    design = np.array(terms).T
    scale = np.abs(design).max(axis=0)
    solved, *_ = np.linalg.lstsq(design / scale, cost, rcond=None)
    return float(np.linalg.norm(design / scale @ solved - cost) / np.linalg.norm(cost))
