"""What a smaller image would show: a spatial control."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from himap.criteria.base import Criterion, Need, Observed
from himap.criteria._van_der_corput import BITS, bits_reversed, cell
from himap.tokens import TokenSet


class Downsample(Criterion):
    """Whole rows and columns are left out, as when an image is resized by nearest neighbor.

    Keeping a share s of the tokens keeps a share √s of the rows and of the columns, each spread evenly by
    the van der Corput order (every second, then every fourth, ...): a quarter is every second row and column
    exactly. Where that is no whole number of rows and columns, the next row and column are filled up in the
    same order. Each image is resized on its own, whatever its shape; after a first cut the rows and columns
    are still those of the whole image. Needs the layout.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"layout"})

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        row, column = map(bits_reversed, cell(seen.layout))
        rank = torch.maximum(row, column) << BITS | torch.minimum(row, column)
        return -(rank << 1 | (row > column).long()).float()
