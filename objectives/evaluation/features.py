"""Prepare batches of prompts; features, computed once per image, replace pixels where a model takes them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from objectives.benchmarks import Benchmark, Question
from objectives.data.images import load_image
from objectives.evaluation.models import LoadedModel

_FAMILIES = ("LlavaForConditionalGeneration", "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration")


def takes_features(model: Any) -> bool:
    """Return whether features can replace pixels: one tensor per image, and nothing else of the vision tower.

    LLaVA-1.5, Qwen2-VL and Qwen2.5-VL take them where transformers knows `mm_encoder_outputs`. Every other model
    gets the pixels with each prompt: its answers are the same, but its vision tower runs each time.
    """
    known = "mm_encoder_outputs" in inspect.signature(model.forward).parameters
    return known and type(model).__name__ in _FAMILIES


@dataclass(frozen=True)
class PromptBatch:
    """The left-padded prompts of some questions, by their numbers; without features `tensors` hold the pixels."""

    order: list[int]
    tensors: dict[str, Tensor]
    features: tuple[Tensor, ...]

    @property
    def slots(self) -> int:
        """Length of the padded prompts."""
        return self.tensors["input_ids"].shape[1]

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of forward and `generate`."""
        if not self.features:
            return dict(self.tensors)
        output: Any = self.features
        return {**self.tensors, "mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=output)}}


class Features:
    """Cache of the features that a model's vision tower and projector compute of images."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded, self._model = loaded, loaded.model
        self._takes = takes_features(loaded.model)
        self._kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def batch(
        self, benchmark: Benchmark, questions: Sequence[Question], order: list[int], *, pixels: bool = False
    ) -> PromptBatch:
        """Return the prompts of the questions with these numbers; `pixels` keeps the pixels."""
        chosen = [questions[i] for i in order]
        images = [[load_image(image) for image in question.images] for question in chosen]
        inputs = self._loaded.inputs([benchmark.prompt(question) for question in chosen], images)
        inputs = {name: value.to(self._loaded.device) for name, value in inputs.items()}
        names = [image for question in chosen for image in question.images]
        if pixels or not self._takes:
            return PromptBatch(order, {**inputs, "pixel_values": inputs["pixel_values"].to(self._model.dtype)}, ())
        return PromptBatch(order, *self._instead_of_pixels(names, inputs))

    def _instead_of_pixels(
        self, images: Sequence[str], inputs: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        """Return inputs without pixels, and features."""
        if new := {name: index for index, name in enumerate(images) if name not in self._kept}:
            self._kept.update(zip(new, self._computed(list(new.values()), inputs), strict=True))
        rest = {name: value for name, value in inputs.items() if name != "pixel_values"}
        return rest, tuple(self._kept[name] for name in images)

    def _computed(self, indices: list[int], inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        pixels, grids = inputs["pixel_values"].to(self._model.dtype), inputs.get("image_grid_thw")
        if grids is None:
            vision: dict[str, Any] = {"pixel_values": pixels[indices]}
        else:  # the patches of all images are one list
            patches = pixels.split(grids.prod(1).tolist())
            vision = {"pixel_values": torch.cat([patches[i] for i in indices]), "image_grid_thw": grids[indices]}
        config = self._model.config
        for name in ("vision_feature_layer", "vision_feature_select_strategy"):
            if hasattr(config, name):
                vision[name] = getattr(config, name)
        features: Sequence[Tensor] = self._model.get_image_features(**vision).pooler_output
        return features
