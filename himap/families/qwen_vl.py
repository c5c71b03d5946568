"""Qwen-VL: images of any size, three-dimensional rotary positions (M-RoPE)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from himap.families.family import Family


class Qwen2VL(Family):
    """Qwen2-VL; video tokens count as text and are never dropped."""

    model_class: ClassVar[str] = "Qwen2VLForConditionalGeneration"
    token_types_name: ClassVar[str | None] = "mm_token_type_ids"

    def grids(self, inputs: Mapping[str, Any]) -> Tensor | None:
        patches = inputs.get("image_grid_thw")
        merge = self.model.config.vision_config.spatial_merge_size
        return patches[:, 1:] // merge if isinstance(patches, Tensor) else None


class Qwen25VL(Qwen2VL):
    """Qwen2.5-VL, with the decoder interface of Qwen2-VL."""

    model_class: ClassVar[str] = "Qwen2_5_VLForConditionalGeneration"


class Qwen3VL(Qwen2VL):
    """Qwen3-VL: DeepStack adds image features to the outputs of the first layers, after a cut to the tokens left."""

    model_class: ClassVar[str] = "Qwen3VLForConditionalGeneration"
    deepstack_method: ClassVar[str | None] = "_deepstack_process"


class Qwen35(Qwen2VL):
    """Qwen3.5: three recurrent layers for each attention layer; a recurrent layer runs on the tokens left."""

    model_class: ClassVar[str] = "Qwen3_5ForConditionalGeneration"


class Qwen35Moe(Qwen35):
    """Qwen3.5 with a mixture of experts."""

    model_class: ClassVar[str] = "Qwen3_5MoeForConditionalGeneration"
