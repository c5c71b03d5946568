"""Attention weighted by how much there is to receive."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, Need, Observed
from himap.tokens import Rows, TokenSet


class ValueNorm(Criterion):
    """1/H Σ_h ‖V_h(v)‖₁ Σ_{i∈I} A_h(i, v): the instruction's attention times the L1 norm of the value.

    The weighting of VATP (Guo et al., EMNLP 2024, arXiv 2406.12335) on HiMAP's Eq. 8: attention sinks have
    small values and carry little. A query head reads the value of its key-value head. Needs the
    instruction's query rows of every head, and the values.
    """

    rows: ClassVar[Rows] = "instruction"
    per_head: ClassVar[bool] = True
    needs: ClassVar[frozenset[Need]] = frozenset({"values"})

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        norm = seen.values.float().abs().sum(-1)
        received = seen.attention.sum(2)
        received = received.unflatten(1, (norm.shape[1], -1))
        return (received * norm[:, :, None]).mean((1, 2))
