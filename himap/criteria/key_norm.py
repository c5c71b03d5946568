"""The norm of the keys alone: no attention is computed."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from himap.criteria.base import Criterion, Need, Observed
from himap.tokens import TokenSet


class KeyNorm(Criterion):
    """-1/H Σ_h ‖K_h(v)‖₂: keeps the tokens with the *smallest* keys.

    Devoto et al., EMNLP 2024 (arXiv 2406.11430): keys of small L2 norm attract much attention; kvpress's
    KnormPress scores -‖K‖ as well, per head where we average over key-value heads. Rotary embedding turns
    keys without changing their norm. Where a model normalizes its keys (Qwen3-VL, Gemma 3) the norms are
    nearly equal and say little. Needs the keys.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"keys"})

    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        return -seen.keys.float().norm(dim=-1).mean(1)
