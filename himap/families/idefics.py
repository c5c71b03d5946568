"""Idefics3 and SmolVLM: image tiles separated by text, and a Llama decoder."""

from __future__ import annotations

from typing import ClassVar

from himap.families.family import Family


class Idefics3(Family):
    """Idefics3; the separators between tiles are text and are never dropped."""

    model_class: ClassVar[str] = "Idefics3ForConditionalGeneration"
    decoder_name: ClassVar[str] = "text_model"


class SmolVLM(Idefics3):
    """SmolVLM, with the architecture of Idefics3."""

    model_class: ClassVar[str] = "SmolVLMForConditionalGeneration"
