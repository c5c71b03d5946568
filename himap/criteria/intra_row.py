"""Attention to the image tokens: φ_dp of the paper as Eq. 9 prints it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs, Need
from himap.tokens import QueryRows, TokenSet


class IntraRow(Criterion):
    """Attention that image token v gives to all image tokens: Σ_{j∈V} A(v, j) (HiMAP, Eq. 9 as printed).

    The paper's text and code take the column sum, `intra_column`. Needs the attention given
    by the image tokens' query rows, averaged over heads.
    """

    rows: ClassVar[QueryRows] = "image"
    needs: ClassVar[frozenset[Need]] = frozenset({"given"})

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        index, _ = tokens.slots_of("image")
        # Padding rows point at slots without an image token. No code reads those scores.
        return torch.zeros(tokens.role.shape, device=inputs.given.device).scatter(1, index, inputs.given)
