"""A random choice: the control for every attention criterion."""

from __future__ import annotations

import torch
from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs
from himap.tokens import TokenSet


def _signed(value: int) -> int:
    """Return an unsigned 64-bit number as the int64 of the same bits."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _mix(x: Tensor) -> Tensor:
    """Apply splitmix64's finalizer to int64: arithmetic wraps, and the masks make the right shifts logical."""
    x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * _signed(0x94D049BB133111EB)
    return x ^ ((x >> 31) & ((1 << 33) - 1))


class Random(Criterion):
    """Seeded uniform random scores. Needs nothing.

    Each score is a hash of the seed, the row's token ids and the token's index in its prompt. A prompt
    therefore keeps the same tokens alone and in any batch, with any padding, on any device. Both cuts read
    the same scores; the tokens left after each cut are a uniform random subset.
    """

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        ids = tokens.prompt_ids
        valid = ids >= 0
        order = valid.long().cumsum(1) - 1
        golden = _signed(0x9E3779B97F4A7C15)
        row = torch.where(valid, _mix(ids + _mix(order * golden)), 0).sum(1, keepdim=True)
        hashes = _mix(_mix(row + self.seed * 2 + 1) + tokens.prompt_index * golden)
        return ((hashes >> 40) & ((1 << 24) - 1)).float()
