"""Attention from the instruction, in the head that looks hardest."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, Observed
from himap.tokens import Rows, TokenSet


class MaxHead(Criterion):
    """max_h Σ_{i∈I} A_h(i, v): HiMAP's Eq. 8 with the largest head in place of the mean over heads.

    A token that one head needs is not voted down by the others. Needs the instruction's query rows of every
    head.
    """

    rows: ClassVar[Rows] = "instruction"
    per_head: ClassVar[bool] = True

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        return seen.attention.sum(2).amax(1)
