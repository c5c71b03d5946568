"""φ_dp of the paper as Eq. 9 prints it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from himap.criteria.base import Criterion, Observed
from himap.tokens import IMAGE, Rows, TokenSet


class IntraRow(Criterion):
    """Σ_{j∈V} A(v, j): what image token v pays to all image tokens (HiMAP, Eq. 9 as printed).

    The paper's prose and code take the column sum, `intra_column`. Needs the image tokens' query rows,
    averaged over heads.
    """

    rows: ClassVar[Rows] = "image"

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        image = (tokens.role == IMAGE)[:, None]
        paid = seen.attention.masked_fill(~image, 0.0).sum(2)
        index, _ = tokens.rows("image")
        # Rows that are padding point at slots without an image token, whose scores nobody reads.
        return torch.zeros(tokens.role.shape, device=paid.device).scatter(1, index, paid)
