"""The classes of transformers whose structure does not show how to prune them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from himap.errors import InputError
from himap.families.family import Family


class BidirectionalPrompt(Family):
    """Gemma 3 and PaliGemma: their token types give some tokens of the prompt bidirectional attention."""

    def check_prompt(self, inputs: Mapping[str, Any]) -> None:
        if inputs.get("token_type_ids") is None:
            raise InputError(
                f"{type(self.model).__name__} reads from token_type_ids which tokens attend bidirectionally; pass "
                "them, as its processor returns them"
            )


EXCEPTIONS: dict[str, type[Family]] = {
    "Gemma3ForConditionalGeneration": BidirectionalPrompt,
    "PaliGemmaForConditionalGeneration": BidirectionalPrompt,
}
