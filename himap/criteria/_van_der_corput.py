"""The van der Corput order of rows and columns, for the spatial controls."""

from __future__ import annotations

from torch import Tensor

BITS = 11  # of a row or column number; two numbers and one more bit are exact in float32


def rows_and_columns(layout: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row and the column of each slot; beyond 2048 tokens a side the pattern repeats."""
    row, column = (layout & ((1 << BITS) - 1)).unbind(-1)
    return row, column


def reverse_bits(number: Tensor) -> Tensor:
    """Return each number's rank in the van der Corput order: first 0, then the middle, then the quarters."""
    reversed_number = number.new_zeros(number.shape)
    for bit in range(BITS):
        reversed_number = reversed_number | ((number >> bit & 1) << (BITS - 1 - bit))
    return reversed_number
