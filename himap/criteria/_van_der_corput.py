"""Orders that are even at every length, for the spatial controls."""

from __future__ import annotations

from torch import Tensor

BITS = 11  # of a row or a column; two of them and one more are exact in float32


def cell(layout: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of each slot; images larger than 2048 tokens a side repeat the pattern."""
    row, column = (layout & ((1 << BITS) - 1)).unbind(-1)
    return row, column


def bits_reversed(number: Tensor) -> Tensor:
    """The van der Corput order: 0, the middle, the quarters, ... have the smallest values."""
    mirrored = number.new_zeros(number.shape)
    for bit in range(BITS):
        mirrored = mirrored | ((number >> bit & 1) << (BITS - 1 - bit))
    return mirrored
