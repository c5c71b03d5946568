"""Nearest-neighbor downsampling: a spatial control."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from himap.criteria._van_der_corput import BITS, reverse_bits, rows_and_columns
from himap.criteria.base import Criterion, CriterionInputs, Need
from himap.tokens import TokenSet


class Downsample(Criterion):
    """Whole rows and columns of the image, as nearest-neighbor resizing keeps them.

    Keeping a share s of the tokens keeps a share √s of the rows and of the columns, each spread evenly by
    the van der Corput order: every second, then every fourth, and so on. A quarter is exactly every second
    row and column. Where s gives no whole number of rows and columns, the next row and column are filled in
    the same order. Each image is resized separately, whatever its shape. After a first cut the rows and
    columns are still those of the whole image. Needs the layout.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"layout"})

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        row, column = map(reverse_bits, rows_and_columns(inputs.layout))
        order = torch.maximum(row, column) << BITS | torch.minimum(row, column)
        return -(order << 1 | (row > column).long()).float()
