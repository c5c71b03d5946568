"""The Gemma line: parts of the prompt look ahead, some layers look back over a window only."""

from __future__ import annotations

from typing import ClassVar

from himap.families.base import BidirectionalPrompt


class Gemma3(BidirectionalPrompt):
    """Gemma 3: the tokens of one image see each other; most layers have a sliding window.

    The window counts the prompt's original slots, so a dropped token still takes its place in it.
    """

    model_class: ClassVar[str] = "Gemma3ForConditionalGeneration"


class PaliGemma(BidirectionalPrompt):
    """PaliGemma 1: the whole prompt sees itself, the answer is causal. Version 2 is refused."""

    model_class: ClassVar[str] = "PaliGemmaForConditionalGeneration"
