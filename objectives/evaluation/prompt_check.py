"""Refuse questions that a model cannot take, before its weights are loaded: one place for every command."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import AutoConfig

from himap.families import image_token
from objectives.benchmarks import Benchmark, Question
from objectives.data.images import image_size, load_image
from objectives.errors import DataError
from objectives.evaluation.models import load_processor, user_turn

MOST_TOKENS = 32_768  # of a prompt, whatever the model's context
_UNFIT = (ArithmeticError, IndexError, MemoryError, RuntimeError, TypeError, ValueError)  # of image processors

Sizes = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PromptSize:
    """What a question becomes in a model.

    Attributes:
        image, text: tokens of the decoder.
        patches: inputs of the vision tower, of all images together.
        pixels: numbers of `pixel_values`.
    """

    image: int
    text: int
    patches: int
    pixels: int


class PromptCheck:
    """Says why a model cannot take a question, by its processor; loads it at the first question, and no weights.

    Args:
        weights: folder or hub id of a checkpoint.
    """

    def __init__(self, weights: str | Path) -> None:
        self._weights = weights
        self._counts: dict[Sizes, PromptSize | str] = {}

    @cached_property
    def _processor(self) -> Any:
        return load_processor(self._weights)

    @cached_property
    def _config(self) -> Any:
        return AutoConfig.from_pretrained(self._weights)

    @cached_property
    def _placeholder(self) -> re.Pattern[str]:
        """Texts that stand for something else in a prompt: images, turns, the end of an answer."""
        added = self._processor.tokenizer.added_tokens_decoder.values()
        own = [text for name, text in vars(self._processor).items() if name.endswith("_token")]
        texts = {*(token.content for token in added if token.special), *own}
        longest_first = sorted((text for text in texts if isinstance(text, str) and text), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def problem(self, benchmark: Benchmark, question: Question) -> str:
        """Return why the model cannot take the question, as one line; "" if it can."""
        name = f"question {question.id!r}"
        if not question.images:
            return f"{name} has no image; expected at least one"
        prompt = benchmark.prompt(question)
        if held := self._placeholder.search(prompt):
            apart = f"{held[0][0]} {held[0][1:]}"
            return (
                f"{name} holds {held[0]!r}, which the model reads as a placeholder and not as text; delete it "
                f"(images stand in front of the text anyway), or write {apart!r} to ask about it"
            )
        count = self._count(question)
        if isinstance(count, str):
            return f"the model cannot take {' and '.join(question.images)} of {name} ({count}); make other images of it"
        tokens = count.image + self._prompt_tokens(prompt, len(question.images))
        context = getattr(self._config.get_text_config(), "max_position_embeddings", None) or MOST_TOKENS
        room = min(context, MOST_TOKENS) - benchmark.max_new_tokens
        if tokens > room:
            return (
                f"{name} makes {tokens:,} tokens, {count.image:,} of them of images; the model takes at most {room:,}"
            )
        return ""

    def image_tokens(self, questions: Sequence[Question]) -> list[int]:
        """Return how many image tokens each question's images become; raise DataError for those it cannot take."""
        return [self._checked(question).image for question in questions]

    def size(self, benchmark: Benchmark, question: Question) -> PromptSize:
        """Return what a question becomes; raise DataError where the model cannot take its images."""
        images = self._checked(question)
        text = images.text + self._prompt_tokens(benchmark.prompt(question), len(question.images))
        return replace(images, text=text)

    def _prompt_tokens(self, prompt: str, images: int) -> int:
        """Return the tokens of a user turn with one placeholder an image."""
        text = self._processor.apply_chat_template([user_turn(prompt, images)], add_generation_prompt=True)
        return len(self._processor.tokenizer(text)["input_ids"])

    def _checked(self, question: Question) -> PromptSize:
        count = self._count(question)
        if isinstance(count, str):
            images = " and ".join(question.images)
            raise DataError(f"the model cannot take {images} of question {question.id!r} ({count})")
        return count

    def _count(self, question: Question) -> PromptSize | str:
        """Return the images' part of a prompt, or why the processor cannot take them; once for each size.

        Its `text` is what the processor adds to the tokens of the turn: marks around images less their placeholders.
        """
        try:
            sizes = tuple(map(image_size, question.images))
            if sizes not in self._counts:
                self._counts[sizes] = self._computed(question)
        except DataError as error:
            return str(error)
        return self._counts[sizes]

    def _computed(self, question: Question) -> PromptSize | str:
        images = [load_image(image) for image in question.images]
        text = self._processor.apply_chat_template([user_turn("", len(images))])
        try:
            inputs = self._processor(images=[images], text=[text], return_tensors="pt")
        except _UNFIT as error:
            return " ".join(str(error).split()) or type(error).__name__
        ids = inputs["input_ids"]
        tokens = int((ids == image_token(self._config)).sum())
        if not tokens:
            return "it makes no image tokens of them"
        added = ids.numel() - tokens - len(self._processor.tokenizer(text)["input_ids"])
        pixels = inputs["pixel_values"]
        return PromptSize(tokens, added, self._patches(pixels), pixels.numel())

    def _patches(self, pixels: Tensor) -> int:
        """Return how many patches the vision tower reads: rows of patches, or squares of images."""
        if pixels.ndim < 4:
            return pixels.shape[:-1].numel()
        side = getattr(getattr(self._config, "vision_config", None), "patch_size", 1)
        high, wide = (side, side) if isinstance(side, int) else tuple(side)
        return pixels.shape[:-3].numel() * (pixels.shape[-2] // high) * (pixels.shape[-1] // wide)
