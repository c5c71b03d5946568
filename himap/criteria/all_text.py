"""Attention from every text token, the system prompt included."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs
from himap.tokens import IMAGE, PAD, QueryRows, TokenSet


class AllText(Criterion):
    """Mean attention over all text rows: 1/|T| Σ_{i∈T} A(i, v), T = S ∪ I.

    A variant of HiMAP's Eq. 8. T is the text before, between and after the images. With one image it ranks
    like `instruction`, because text in front of an image cannot attend to it. With several images, the text
    between them counts too. Needs the text's query rows, averaged over heads.
    """

    rows: ClassVar[QueryRows] = "text"

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        text = ((tokens.role != PAD) & (tokens.role != IMAGE)).sum(1, keepdim=True)
        return inputs.received / text.clamp(min=1)
