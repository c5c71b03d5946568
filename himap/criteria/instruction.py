"""Attention from the instruction: φ_sh of the paper."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs
from himap.tokens import QueryRows, TokenSet


class Instruction(Criterion):
    """Attention that image token v receives from all tokens after the image: Σ_{i∈I} A(i, v) (HiMAP, Eq. 8).

    Needs the instruction's query rows, averaged over heads.
    """

    rows: ClassVar[QueryRows] = "instruction"

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return inputs.received
