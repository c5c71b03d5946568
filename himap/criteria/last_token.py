"""Attention from the last token: FastV's criterion."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs
from himap.tokens import QueryRows, TokenSet


class LastToken(Criterion):
    """Attention that image token v receives from the prompt's last token: A(last, v) (FastV, arXiv 2403.06764).

    Needs one query row, averaged over heads.
    """

    rows: ClassVar[QueryRows] = "last"

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return inputs.received
