"""An even grid over the image: a spatial control."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria._van_der_corput import BITS, reverse_bits, rows_and_columns
from himap.criteria.base import Criterion, CriterionInputs, Need
from himap.tokens import TokenSet


class Uniform(Criterion):
    """Bayer's ordered dither (1973): a grid that is even at every density.

    Half of the tokens are a checkerboard, a quarter every second row and column, an eighth the checkerboard
    of that grid, and so on. The scores are the dither's ranks, read at each token's row and column. Images of
    any size read the same ranks, also after a first cut; several images share the tokens evenly. A second cut
    thins the first one's grid. Needs the layout.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"layout"})

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        row, column = rows_and_columns(inputs.layout)
        parity, reversed_row = reverse_bits(row ^ column), reverse_bits(row)
        order = parity.new_zeros(parity.shape)
        for bit in range(BITS):
            order = order | ((parity >> bit & 1) << (2 * bit + 1)) | ((reversed_row >> bit & 1) << (2 * bit))
        return -order.float()
