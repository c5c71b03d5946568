"""Tokens that are far from each other."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from himap.criteria.base import Criterion, Need, Observed
from himap.tokens import TokenSet, gather_slots


class Diversity(Criterion):
    """Greedy max-min distance: each token taken is the one farthest from its nearest taken token.

    DivPrune (Alvar et al., CVPR 2025, arXiv 2503.02175) on the hidden states in front of the cut, where
    DivPrune reads the projector's output: distance is 1 - cosine, the first token is the one farthest from
    its nearest neighbor, equal distances take the earlier token. The score is the order of taking, counted
    down; as many steps as tokens are kept. Needs the hidden states.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"hidden"})

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        index, present = tokens.rows("image")
        unit = torch.nn.functional.normalize(gather_slots(seen.hidden.float(), index), dim=-1)
        distance = 1 - unit @ unit.transpose(1, 2)
        order = _farthest_first(distance, present, max(seen.keep))
        scores = torch.zeros(tokens.role.shape, device=order.device)
        return scores.scatter(1, index, order)


def _farthest_first(distance: Tensor, present: Tensor, steps: int) -> Tensor:
    """(batch, r) steps - i for the i-th token taken, counted from 0; zero for tokens not taken.

    Args:
        distance: (batch, r, r).
        present: (batch, r) bool; absent tokens are taken only when no other is left.
        steps: how many tokens to take.
    """
    count = distance.shape[1]
    itself = torch.eye(count, dtype=torch.bool, device=distance.device)
    absent = ~present
    # A lone token has no neighbor at all, hence not infinity but more than any distance.
    nearest = distance.masked_fill(itself | absent[:, None], 4.0).amin(2).masked_fill(absent, -torch.inf)
    order = torch.zeros(present.shape, device=distance.device)
    for step in range(steps):
        taken = nearest.argmax(1, keepdim=True)
        order = order.scatter_reduce(1, taken, order.new_full((1, 1), steps - step).expand_as(taken), "amax")
        to_taken = distance.gather(1, taken[:, :, None].expand(-1, -1, count))[:, 0]
        nearest = (to_taken if step == 0 else torch.minimum(nearest, to_taken)).masked_fill(absent, -torch.inf)
        nearest = nearest.scatter(1, taken, -torch.inf)
    return order
