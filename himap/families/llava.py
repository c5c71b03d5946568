"""The LLaVA line: placeholders in `input_ids`, a standard decoder."""

from __future__ import annotations

from typing import ClassVar

from himap.families.base import Family


class Llava(Family):
    """LLaVA-1.5: one size of image."""

    model_class: ClassVar[str] = "LlavaForConditionalGeneration"


class LlavaNext(Family):
    """LLaVA-NeXT: an overview and tiles; the newline features between rows of tiles are image tokens too."""

    model_class: ClassVar[str] = "LlavaNextForConditionalGeneration"


class LlavaOnevision(Family):
    """LLaVA-OneVision: as LLaVA-NeXT. Video tokens count as text and are never dropped."""

    model_class: ClassVar[str] = "LlavaOnevisionForConditionalGeneration"
