"""Attention from every text token, the system prompt included."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, Observed
from himap.tokens import IMAGE, PAD, Rows, TokenSet


class AllText(Criterion):
    """1/|T| Σ_{i∈T} A(i, v) over all text rows T = S ∪ I: before, between and after the images.

    A variant of HiMAP's Eq. 8. With one image it ranks like `instruction`, since text in front of an image
    cannot see it; with several, text between them counts too. Needs the text's query rows, averaged over
    heads.
    """

    rows: ClassVar[Rows] = "text"

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        text = ((tokens.role != PAD) & (tokens.role != IMAGE)).sum(1, keepdim=True)
        return seen.attention.sum(1) / text.clamp(min=1)
