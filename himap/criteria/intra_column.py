"""φ_dp of the paper: attention from the other image tokens."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion
from himap.tokens import Rows, TokenSet


class IntraColumn(Criterion):
    """Σ_{i in V} A(i, v): what image token v receives from all image tokens, A averaged over heads.

    Eq. 9 prints the row sum; the paper's prose and its published code take this column sum. Under causal
    attention early tokens are seen by more rows, which favours them. Needs the image tokens' query rows.
    """

    rows: ClassVar[Rows] = "image"

    def score(self, tokens: TokenSet, attention: Tensor | None) -> Tensor:
        assert attention is not None
        return attention.sum(2).mean(1)
