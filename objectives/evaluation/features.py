"""Prepare batches of prompts; features, computed once per image, replace pixels where a model takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from objectives.benchmarks import Benchmark, Question
from objectives.data.images import load_image
from objectives.evaluation.memory import Memory
from objectives.evaluation.models import LoadedModel

_PIXELS = "pixel_values"
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
    """The left-padded prompts of some questions.

    Attributes:
        order: their numbers.
        tensors: all arguments but those of the images.
        images: returns these: features, or pixels; from memory or made again.
    """

    order: list[int]
    tensors: dict[str, Tensor]
    images: Callable[[], dict[str, Any]]

    @property
    def slots(self) -> int:
        """Length of the padded prompts."""
        return self.tensors["input_ids"].shape[1]

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of forward and `generate`."""
        return {**self.tensors, **self.images()}


class Features:
    """Makes prompts, and keeps what a model's vision tower and projector compute of images.

    Args:
        memory: holds features, or pixels where the model takes no features.
    """

    def __init__(self, loaded: LoadedModel, memory: Memory | None = None) -> None:
        self._loaded, self._model = loaded, loaded.model
        self._takes = takes_features(loaded.model)
        self._memory = memory or Memory()

    @torch.no_grad()
    def batch(
        self, benchmark: Benchmark, questions: Sequence[Question], order: list[int], *, pixels: bool = False
    ) -> PromptBatch:
        """Return the prompts of the questions with these numbers; `pixels` keeps the pixels."""
        chosen = [questions[i] for i in order]
        prompts, rows = [benchmark.prompt(question) for question in chosen], [question.images for question in chosen]
        inputs = self._inputs(prompts, rows)
        tensors = {name: value.to(self._loaded.device) for name, value in inputs.items() if name != _PIXELS}
        make = self._pixels if pixels or not self._takes else self._features
        make(prompts, rows, inputs)
        return PromptBatch(order, tensors, partial(make, prompts, rows))

    def _inputs(self, prompts: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, Tensor]:
        return self._loaded.inputs(prompts, [[load_image(image) for image in row] for row in rows])

    def _pixels(
        self, prompts: Sequence[str], rows: Sequence[Sequence[str]], inputs: Mapping[str, Tensor] | None = None
    ) -> dict[str, Any]:
        """Return the pixels of a batch; `inputs` are the processor's, if they are at hand."""
        key = (_PIXELS, *map(tuple, rows))
        kept = self._memory.image(key, self._loaded.device)
        if kept is None:
            made = (inputs or self._inputs(prompts, rows))[_PIXELS]
            kept = made.to(self._loaded.device, self._model.dtype)
            self._memory.keep_image(key, kept)
        return {_PIXELS: kept}

    @torch.no_grad()
    def _features(
        self, prompts: Sequence[str], rows: Sequence[Sequence[str]], inputs: Mapping[str, Tensor] | None = None
    ) -> dict[str, Any]:
        """Return the features of a batch; `inputs` are the processor's, if they are at hand."""
        names = [image for row in rows for image in row]
        found = {name: self._memory.image((name,), self._loaded.device) for name in names}
        if new := {name: index for index, name in enumerate(names) if found[name] is None}:
            computed = self._computed(list(new.values()), inputs or self._inputs(prompts, rows))
            for name, features in zip(new, computed, strict=True):
                found[name] = kept = features.clone()  # a slice would hold the features of all
                self._memory.keep_image((name,), kept)
        output: Any = tuple(found[name] for name in names)
        return {"mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=output)}}

    def _computed(self, indices: list[int], inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        device = self._loaded.device
        pixels, grids = inputs[_PIXELS].to(device, self._model.dtype), inputs.get("image_grid_thw")
        if grids is None:
            vision: dict[str, Any] = {"pixel_values": pixels[indices]}
        else:  # the patches of all images are one list
            patches, grids = pixels.split(grids.prod(1).tolist()), grids.to(device)
            vision = {"pixel_values": torch.cat([patches[i] for i in indices]), "image_grid_thw": grids[indices]}
        config = self._model.config
        for name in ("vision_feature_layer", "vision_feature_select_strategy"):
            if hasattr(config, name):
                vision[name] = getattr(config, name)
        features: Sequence[Tensor] = self._model.get_image_features(**vision).pooler_output
        return features
