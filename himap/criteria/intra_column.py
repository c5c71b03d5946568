"""Attention from the image tokens: φ_dp of the paper."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs
from himap.tokens import QueryRows, TokenSet


class IntraColumn(Criterion):
    """Attention that image token v receives from all image tokens: Σ_{i∈V} A(i, v) (HiMAP, φ_dp).

    Eq. 9 prints the row sum (`intra_row`); the paper's text and its published code take this column sum.
    Causal attention favors early tokens, because more rows attend to them; `intra_column_mean` corrects for
    that. Needs the image tokens' query rows, averaged over heads.
    """

    rows: ClassVar[QueryRows] = "image"

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return inputs.received
