"""φ_dp of the paper without its bias towards early tokens."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, Observed
from himap.tokens import IMAGE, Rows, TokenSet


class IntraColumnMean(Criterion):
    """Σ_{i∈V} A(i, v) / |{i∈V : i ≥ v}|: the mean over the image rows that can see column v, itself included.

    HiMAP's φ_dp (`intra_column`) divided by the number of its terms: under causal attention the j-th of n
    image tokens is seen by n - j + 1 rows only. Needs the image tokens' query rows, averaged over heads.
    """

    rows: ClassVar[Rows] = "image"

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        image = (tokens.role == IMAGE).long()
        seen_by = image.sum(1, keepdim=True) - image.cumsum(1) + image
        return seen.attention.sum(1) / seen_by.clamp(min=1)
