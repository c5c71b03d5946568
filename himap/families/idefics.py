"""Idefics3 and SmolVLM: tiles with text marks between them, one Llama decoder."""

from __future__ import annotations

from typing import ClassVar

from himap.families.base import Family


class Idefics3(Family):
    """Idefics3. The marks between tiles are text and are never dropped."""

    model_class: ClassVar[str] = "Idefics3ForConditionalGeneration"
    decoder_name: ClassVar[str] = "text_model"


class SmolVLM(Idefics3):
    """SmolVLM, which is built as Idefics3."""

    model_class: ClassVar[str] = "SmolVLMForConditionalGeneration"
