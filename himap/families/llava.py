"""LLaVA-1.5: one run of image tokens, a Llama (or other standard) decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from himap.families.base import Family


class Llava(Family):
    """`LlavaForConditionalGeneration`; image tokens are placeholders in `input_ids`."""

    model_class: ClassVar[str] = "LlavaForConditionalGeneration"

    @property
    def backbone(self) -> nn.Module:
        backbone: nn.Module = self.model.model
        return backbone

    @property
    def decoder(self) -> Any:
        return self.model.model.language_model

    def image_mask(self, inputs: Mapping[str, Any]) -> Tensor | None:
        ids: Tensor | None = inputs.get("input_ids")
        return None if ids is None else ids == self.model.config.image_token_id
