"""Tokens that repeat what a pivot says already."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from himap.criteria.base import Criterion, Need, Observed
from himap.tokens import TokenSet, gather_slots

PIVOTS = 4


class Duplication(Criterion):
    """-max_p cos(h_v, h_p) over four pivots p, which themselves stay: drops the tokens closest to a pivot.

    DART (Wen et al., EMNLP 2025, arXiv 2502.11494), made one ranking: pivots are the image tokens whose keys,
    all heads together, have the largest norms (four, as there); every other token is judged by the pivot it
    resembles most. DART's code takes L1 norms, which change as rotary embedding turns a key, so that padding
    would count: here they are L2. It also lets image and text pivots pick their least similar tokens in
    turns. Needs the keys and the hidden states in front of the cut.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"keys", "hidden"})

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        index, present = tokens.rows("image")
        size = seen.keys.float().square().sum((1, 3)).gather(1, index).masked_fill(~present, -torch.inf)
        pivots = size.sort(dim=1, descending=True, stable=True).indices[:, :PIVOTS]
        unit = torch.nn.functional.normalize(gather_slots(seen.hidden.float(), index), dim=-1)
        chosen = unit.gather(1, pivots[:, :, None].expand(-1, -1, unit.shape[2]))
        likeness = (unit @ chosen.transpose(1, 2)).masked_fill(~present.gather(1, pivots)[:, None], -2.0)
        # Cosines end at 1: pivots get more than any other token, the largest key first.
        rank = 2.0 + torch.arange(pivots.shape[1], 0, -1, device=pivots.device, dtype=unit.dtype)
        scores = (-likeness.amax(2)).scatter(1, pivots, rank.expand(pivots.shape))
        return torch.zeros(tokens.role.shape, device=scores.device).scatter(1, index, scores)
