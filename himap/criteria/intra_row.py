"""Attention to the image tokens: φ_dp of the paper as Eq. 9 prints it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs
from himap.tokens import IMAGE, QueryRows, TokenSet


class IntraRow(Criterion):
    """Attention that image token v gives to all image tokens: Σ_{j∈V} A(v, j) (HiMAP, Eq. 9 as printed).

    The paper's text and code take the column sum, `intra_column`. Needs the image tokens' query rows,
    averaged over heads.
    """

    rows: ClassVar[QueryRows] = "image"

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        image = (tokens.role == IMAGE)[:, None]
        row_sum = inputs.attention.masked_fill(~image, 0.0).sum(2)
        index, _ = tokens.slots_of("image")
        # Padding rows point at slots without an image token. No code reads those scores.
        return torch.zeros(tokens.role.shape, device=row_sum.device).scatter(1, index, row_sum)
