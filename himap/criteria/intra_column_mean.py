"""Attention from the image tokens, without the bias of φ_dp towards early tokens."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs, Need
from himap.tokens import QueryRows, TokenSet


class IntraColumnMean(Criterion):
    """Mean attention that image token v receives: Σ_{i∈V} A(i, v) / |{i∈V : i attends to v}|.

    HiMAP's φ_dp (`intra_column`) divided by the number of its terms. Under causal attention n - j + 1 rows
    attend to the j-th of n image tokens, v's own row included; under bidirectional attention all rows do.
    Needs the image tokens' query rows, averaged over heads, and the number attending to each token.
    """

    rows: ClassVar[QueryRows] = "image"
    needs: ClassVar[frozenset[Need]] = frozenset({"attending"})

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return inputs.received / inputs.attending.clamp(min=1)
