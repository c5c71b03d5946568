"""φ_dp of the paper: attention from the other image tokens."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, Observed
from himap.tokens import Rows, TokenSet


class IntraColumn(Criterion):
    """Σ_{i∈V} A(i, v): what image token v receives from all image tokens (HiMAP, φ_dp).

    Eq. 9 prints the row sum (`intra_row`); the paper's prose and its published code take this column sum.
    Under causal attention early tokens are seen by more rows, which favors them; `intra_column_mean` does
    not. Needs the image tokens' query rows, averaged over heads.
    """

    rows: ClassVar[Rows] = "image"

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        return seen.attention.sum(1)
