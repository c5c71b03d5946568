"""Qwen2.5-VL: images of any size, three-dimensional rotary positions (M-RoPE)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from himap.families.base import Family


class Qwen25VL(Family):
    """`Qwen2_5_VLForConditionalGeneration`. Video tokens count as text and are never dropped."""

    model_class: ClassVar[str] = "Qwen2_5_VLForConditionalGeneration"

    @property
    def backbone(self) -> nn.Module:
        backbone: nn.Module = self.model.model
        return backbone

    @property
    def decoder(self) -> Any:
        return self.model.model.language_model

    def image_mask(self, inputs: Mapping[str, Any]) -> Tensor | None:
        ids: Tensor | None = inputs.get("input_ids")
        if ids is not None:
            return ids == self.model.config.image_token_id
        kinds: Tensor | None = inputs.get("mm_token_type_ids")
        return None if kinds is None else kinds == 1
