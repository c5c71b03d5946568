"""The norm of the keys, without any attention."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs, Need
from himap.tokens import TokenSet


class KeyNorm(Criterion):
    """Negative mean key norm: -1/H Σ_h ‖K_h(v)‖₂, which keeps the tokens with the *smallest* keys.

    Devoto et al., EMNLP 2024 (arXiv 2406.11430): keys of small L2 norm attract much attention. kvpress's
    KnormPress scores -‖K‖ per head; this criterion averages over key-value heads. Rotary embedding does not
    change the norm. Where a model normalizes its keys (Qwen3-VL, Gemma 3), the norms are nearly equal and
    carry little information. Needs the keys.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"keys"})

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return -inputs.keys.float().norm(dim=-1).mean(1)
