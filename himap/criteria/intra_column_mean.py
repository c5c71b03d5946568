"""φ_dp of the paper without its bias towards early tokens."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, Need, Observed
from himap.tokens import Rows, TokenSet


class IntraColumnMean(Criterion):
    """Σ_{i∈V} A(i, v) / |{i∈V : i sees v}|: the mean over the image rows that can see column v, v included.

    HiMAP's φ_dp (`intra_column`) divided by the number of its terms: under causal attention the j-th of n
    image tokens is seen by n - j + 1 rows only; where image tokens look ahead, by all. Needs the image
    tokens' query rows, averaged over heads, and what is visible to them.
    """

    rows: ClassVar[Rows] = "image"
    needs: ClassVar[frozenset[Need]] = frozenset({"visible"})

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        return seen.attention.sum(1) / seen.visible.sum(1).clamp(min=1)
