"""φ_sh of the paper: attention from the instruction."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, Observed
from himap.tokens import Rows, TokenSet


class Instruction(Criterion):
    """Σ_{i∈I} A(i, v): what all tokens after the image pay to image token v (HiMAP, Eq. 8).

    Needs the instruction's query rows, averaged over heads.
    """

    rows: ClassVar[Rows] = "instruction"

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        return seen.attention.sum(1)
