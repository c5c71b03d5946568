"""Attention from the instruction, weighted by the norm of the values (VATP)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs, Need
from himap.tokens import QueryRows, TokenSet


class ValueNorm(Criterion):
    """Instruction attention times the L1 norm of the value: 1/H Σ_h ‖V_h(v)‖₁ Σ_{i∈I} A_h(i, v).

    The weighting of VATP (Guo et al., EMNLP 2024, arXiv 2406.12335) on HiMAP's Eq. 8: attention sinks have
    small values and pass on little. A query head reads the value of its key-value head. Needs the
    instruction's query rows of every head, and the values.
    """

    rows: ClassVar[QueryRows] = "instruction"
    per_head: ClassVar[bool] = True
    needs: ClassVar[frozenset[Need]] = frozenset({"values"})

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        norm = inputs.values.float().abs().sum(-1)
        attention = inputs.received.unflatten(1, (norm.shape[1], -1))
        return (attention * norm[:, :, None]).mean((1, 2))
