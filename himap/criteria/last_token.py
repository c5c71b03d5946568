"""FastV's criterion: attention from the last token."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion
from himap.tokens import Rows, TokenSet


class LastToken(Criterion):
    """A(last, v): what the prompt's last token pays to image token v (FastV's paper), A averaged over heads.

    Needs one query row.
    """

    rows: ClassVar[Rows] = "last"

    def score(self, tokens: TokenSet, attention: Tensor | None) -> Tensor:
        assert attention is not None
        return attention[:, :, 0].mean(1)
