"""Similarity to pivot tokens (DART)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs, Need
from himap.tokens import TokenSet, gather_slots

PIVOTS = 4


class Duplication(Criterion):
    """Dissimilarity to the nearest of four pivots p: -max_p cos(h_v, h_p). The pivots themselves stay.

    DART (Wen et al., EMNLP 2025, arXiv 2502.11494) as a single ranking. The pivots are the four image tokens
    whose keys, over all heads, have the largest norms. DART's code takes L1 norms, which change when rotary
    embedding rotates a key, so that padding would count; here they are L2. DART also lets image and text
    pivots select their least similar tokens in turn. Needs the keys and the hidden states in front of the cut.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"keys", "hidden"})

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        index, present = tokens.slots_of("image")
        norm = inputs.keys.float().square().sum((1, 3)).gather(1, index).masked_fill(~present, -torch.inf)
        pivots = norm.sort(dim=1, descending=True, stable=True).indices[:, :PIVOTS]
        unit = torch.nn.functional.normalize(gather_slots(inputs.hidden.float(), index), dim=-1)
        pivot_units = unit.gather(1, pivots[:, :, None].expand(-1, -1, unit.shape[2]))
        cosine = (unit @ pivot_units.transpose(1, 2)).masked_fill(~present.gather(1, pivots)[:, None], -2.0)
        # A cosine is at most 1, so these scores put the pivots first, the largest key leading.
        pivot_scores = 2.0 + torch.arange(pivots.shape[1], 0, -1, device=pivots.device, dtype=unit.dtype)
        scores = (-cosine.amax(2)).scatter(1, pivots, pivot_scores.expand(pivots.shape))
        return torch.zeros(tokens.role.shape, device=scores.device).scatter(1, index, scores)
