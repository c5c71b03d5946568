"""φ_sh of the paper: attention from the instruction."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion
from himap.tokens import Rows, TokenSet


class Instruction(Criterion):
    """Σ_{i in I} A(i, v): what all tokens after the image pay to image token v (Eq. 8), A averaged over
    heads.

    Needs the instruction's query rows.
    """

    rows: ClassVar[Rows] = "instruction"

    def score(self, tokens: TokenSet, attention: Tensor | None) -> Tensor:
        assert attention is not None
        return attention.sum(2).mean(1)
