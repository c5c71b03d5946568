"""Compute image features once per image and pass them to the model in place of pixels, where it takes them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

_FAMILIES = ("LlavaForConditionalGeneration", "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration")


def takes_features(model: Any) -> bool:
    """Return whether features can replace pixels: one tensor per image, and nothing else of the vision tower.

    LLaVA-1.5, Qwen2-VL and Qwen2.5-VL take them where transformers knows `mm_encoder_outputs`. Every other model
    gets the pixels with each prompt: its answers are the same, but its vision tower runs each time.
    """
    known = "mm_encoder_outputs" in inspect.signature(model.forward).parameters
    return known and type(model).__name__ in _FAMILIES


class Features:
    """Cache of the features that a model's vision tower and projector compute of images."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._takes = takes_features(model)
        self._kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def instead_of_pixels(
        self, images: Sequence[str], inputs: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        """Return inputs without pixels, and features for `as_arguments`; pixels and no features if it takes none.

        Args:
            images: names of the images in the order of the prompts; images with one name are computed once.
            inputs: of the model's forward, on its device.
        """
        if not self._takes:
            pixels = inputs["pixel_values"].to(self._model.dtype)
            return {**inputs, "pixel_values": pixels}, ()
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


def as_arguments(features: tuple[Tensor, ...]) -> dict[str, Any]:
    """Return features as the argument by which forward and `generate` take them."""
    output: Any = features
    return {"mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=output)}} if features else {}
