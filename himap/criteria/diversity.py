"""Hidden states that are far from each other (DivPrune)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs, Need
from himap.tokens import TokenSet, gather_slots


class Diversity(Criterion):
    """Greedy max-min distance: each step selects the token farthest from its nearest selected token.

    DivPrune (Alvar et al., CVPR 2025, arXiv 2503.02175) on the hidden states in front of the cut; DivPrune
    reads the projector's output. The distance is 1 - cosine. The first selected token is the one farthest
    from its nearest neighbor, and equal distances select the earlier token. The score is the selection order,
    counted down, with as many steps as tokens are kept. Needs the hidden states.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"hidden"})

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        index, present = tokens.slots_of("image")
        unit = torch.nn.functional.normalize(gather_slots(inputs.hidden.float(), index), dim=-1)
        distance = (unit @ unit.transpose(1, 2)).neg_().add_(1)  # in place: it is large for a video
        order = _farthest_first(distance, present, max(inputs.keep))
        scores = torch.zeros(tokens.role.shape, device=order.device)
        return scores.scatter(1, index, order)


def _farthest_first(distance: Tensor, present: Tensor, steps: int) -> Tensor:
    """Select tokens greedily by max-min distance.

    Args:
        distance: `(batch, r, r)` pairwise distances.
        present: `(batch, r)` bool; absent tokens are selected only when no other token is left.
        steps: number of tokens to select.

    Returns:
        `(batch, r)`; steps - i for the i-th selected token, counted from 0, and zero for all others.
    """
    count = distance.shape[1]
    diagonal = torch.eye(count, dtype=torch.bool, device=distance.device)
    absent = ~present
    # A single token has no neighbor. It gets a finite value above any distance, since infinity marks absence.
    nearest = distance.masked_fill(diagonal | absent[:, None], 4.0).amin(2).masked_fill(absent, -torch.inf)
    order = torch.zeros(present.shape, device=distance.device)
    for step in range(steps):
        selected = nearest.argmax(1, keepdim=True)
        order = order.scatter_reduce(1, selected, order.new_full((1, 1), steps - step).expand_as(selected), "amax")
        to_selected = distance.gather(1, selected[:, :, None].expand(-1, -1, count))[:, 0]
        nearest = (to_selected if step == 0 else torch.minimum(nearest, to_selected)).masked_fill(absent, -torch.inf)
        nearest = nearest.scatter(1, selected, -torch.inf)
    return order
