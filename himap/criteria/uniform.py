"""An even spread over the image, whatever it shows: a control."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, Need, Observed
from himap.criteria._van_der_corput import BITS, bits_reversed, cell
from himap.tokens import TokenSet


class Uniform(Criterion):
    """A grid that thins out evenly: half of the tokens are a checkerboard, a quarter every second row and
    column, an eighth the checkerboard of that grid, and so on.

    Scores are the ranks of Bayer's ordered dither (1973), the standard even ordering of a square grid, read
    at each token's row and column. Images of any size, and images with holes after a first cut, read the
    same ranks; several images share the tokens evenly. A second cut thins the first one's grid. Needs the
    layout.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"layout"})

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        row, column = cell(seen.layout)
        odd, across = bits_reversed(row ^ column), bits_reversed(row)
        rank = odd.new_zeros(odd.shape)
        for bit in range(BITS):
            rank = rank | ((odd >> bit & 1) << (2 * bit + 1)) | ((across >> bit & 1) << (2 * bit))
        return -rank.float()
