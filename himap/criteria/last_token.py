"""FastV's criterion: attention from the last token."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, Observed
from himap.tokens import Rows, TokenSet


class LastToken(Criterion):
    """A(last, v): what the prompt's last token pays to image token v (FastV, arXiv 2403.06764).

    Needs one query row, averaged over heads.
    """

    rows: ClassVar[Rows] = "last"

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        return seen.attention[:, 0]
