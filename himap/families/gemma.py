"""Gemma: bidirectional attention in parts of the prompt, sliding windows in some layers."""

from __future__ import annotations

from typing import ClassVar

from himap.families.family import BidirectionalPrompt


class Gemma3(BidirectionalPrompt):
    """Gemma 3: bidirectional attention within an image, and sliding windows in most layers.

    A window counts the slots of the original prompt, so a dropped token still occupies its slot.
    """

    model_class: ClassVar[str] = "Gemma3ForConditionalGeneration"


class PaliGemma(BidirectionalPrompt):
    """PaliGemma: bidirectional attention within the prompt; version 2 caps its attention logits."""

    model_class: ClassVar[str] = "PaliGemmaForConditionalGeneration"
