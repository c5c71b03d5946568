"""Attention from the instruction, in the head that attends most."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs
from himap.tokens import QueryRows, TokenSet


class MaxHead(Criterion):
    """HiMAP's Eq. 8 with the maximum over heads in place of the mean: max_h Σ_{i∈I} A_h(i, v).

    A token that a single head attends to keeps a high score. Needs the instruction's query rows of every
    head.
    """

    rows: ClassVar[QueryRows] = "instruction"
    per_head: ClassVar[bool] = True

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return inputs.received.amax(1)
