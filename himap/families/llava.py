"""LLaVA: placeholders in `input_ids`, and a standard decoder."""

from __future__ import annotations

from typing import ClassVar

from himap.families.family import Family


class Llava(Family):
    """LLaVA-1.5: images of one size."""

    model_class: ClassVar[str] = "LlavaForConditionalGeneration"


class LlavaNext(Family):
    """LLaVA-NeXT: an overview and tiles; the newline features after rows of tiles are image tokens too."""

    model_class: ClassVar[str] = "LlavaNextForConditionalGeneration"


class LlavaOnevision(Family):
    """LLaVA-OneVision: images as in LLaVA-NeXT; video tokens count as text and are never dropped."""

    model_class: ClassVar[str] = "LlavaOnevisionForConditionalGeneration"


class Mistral3(Family):
    """Mistral Small 3 and 4, Ministral 3: images of any size; later decoders scale queries by their position."""

    model_class: ClassVar[str] = "Mistral3ForConditionalGeneration"
