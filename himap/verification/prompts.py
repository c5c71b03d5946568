"""Prompts for any image-text-to-text model, with random image features in place of an encoded image."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from himap.errors import UnsupportedModelError
from himap.families.family import Family

Prompt = dict[str, Any]
SIDE = 4  # rows of an image, and its columns
PER_TOKEN = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids", "moe_mm_token_type_ids")
_WORDS = 80  # the ids of words are below it
KINDS = ("image", "video")  # in the order of `mm_token_type_ids`, from 1
_DEEPSTACK = 3


class EncodedImages(BaseModelOutputWithPooling):
    """What an image encoder returns; `deepstack_features` are read by the classes that have DeepStack."""


@dataclass(frozen=True)
class FeatureForm:
    """The form in which a model reads the features of its images, `(tokens, channels)` each.

    Attributes:
        join: returns the features of all images.
        join_deep: returns the DeepStack features of all images for one layer.
        tokens: number of tokens of an image of SIDE rows and columns.
    """

    join: Callable[[list[Tensor]], Any]
    join_deep: Callable[[list[Tensor]], Any]
    tokens: int


_JOINS: tuple[Callable[[list[Tensor]], Any], ...] = (list, torch.stack, torch.cat)
FORMS = [FeatureForm(*form) for form in itertools.product(_JOINS, (list, torch.cat), (SIDE * SIDE, SIDE * (SIDE + 1)))]


class PromptMaker:
    """Makes prompts for one model.

    Args:
        family: the model.
        form: the form in which the model reads features.
        kind: what the prompts hold, "image" or "video", of one frame.
        token: the id of its placeholder.
    """

    def __init__(self, family: Family, form: FeatureForm, kind: str, token: int) -> None:
        self._family, self._form, self._kind, self._token = family, form, kind, token
        embeddings = family.model.get_input_embeddings().weight
        self._channels, self._device, self._dtype = embeddings.shape[1], embeddings.device, embeddings.dtype
        names = {*inspect.signature(family.backbone.forward).parameters}
        self._types = [name for name in PER_TOKEN[2:] if name in names]
        self._grid = f"{self._kind}_grid_thw" in names

    def prompt(self, seed: int, *sizes: int) -> Prompt:
        """Return one row of text of the given lengths with an image between each two."""
        generator = torch.Generator().manual_seed(seed)
        ids: list[int] = []
        for number, size in enumerate(sizes):
            ids += [self._token] * (self._form.tokens if number else 0)
            ids += torch.randint(3, _WORDS, (size,), generator=generator).tolist()
        return self._complete(torch.tensor([ids], device=self._device), self._features(len(sizes) - 1, generator))

    def batch(self, prompts: Sequence[Prompt]) -> Prompt:
        """Return rows of different lengths as one batch with padding on the left."""
        width = max(prompt["input_ids"].shape[1] for prompt in prompts)
        rows = [nn.functional.pad(prompt["input_ids"], (width - prompt["input_ids"].shape[1], 0)) for prompt in prompts]
        masks = [nn.functional.pad(p["attention_mask"], (width - p["attention_mask"].shape[1], 0)) for p in prompts]
        features = [image for prompt in prompts for image in prompt["features"]]
        return self._complete(torch.cat(rows), features, torch.cat(masks))

    def _features(self, images: int, generator: torch.Generator) -> list[Tensor]:
        """Return for each image `(1 + _DEEPSTACK, tokens, channels)`: its features, and those of DeepStack."""
        shape = 1 + _DEEPSTACK, self._form.tokens, self._channels
        scale = self._family.model.get_input_embeddings().weight.std().item()
        return [scale * torch.randn(shape, generator=generator) for _ in range(images)]

    def _complete(self, ids: Tensor, features: list[Tensor], mask: Tensor | None = None) -> Prompt:
        image = ids == self._token
        prompt: Prompt = {"input_ids": ids, "attention_mask": torch.ones_like(ids) if mask is None else mask}
        paligemma = self._family.model.config.model_type == "paligemma"  # its type 0 is the bidirectional prefix
        kind = 0 if paligemma else KINDS.index(self._kind) + 1
        prompt |= {name: kind * image.long() for name in self._types}
        if self._grid:
            vision = getattr(self._family.model.config, "vision_config", None)
            merge = getattr(vision, "spatial_merge_size", 1) or 1
            merge = merge if isinstance(merge, int) else 1
            frames = getattr(vision, "temporal_merge_size", 1) if self._kind == "video" else 1
            grid = [[frames, SIDE * merge, SIDE * merge]] * len(features)
            prompt[f"{self._kind}_grid_thw"] = torch.tensor(grid, device=self._device)
        return {**prompt, "features": features}

    def arguments(self, prompt: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a forward call with a prompt."""
        rest = {name: value for name, value in prompt.items() if name != "features"}
        features = [image.to(self._device, self._dtype) for image in prompt["features"]]
        plain = self._form.join([image[0] for image in features])
        encoded = EncodedImages(pooler_output=plain, last_hidden_state=plain)
        if self._family.deepstack_method is not None:
            layers = range(1, 1 + _DEEPSTACK)
            encoded["deepstack_features"] = [self._form.join_deep([image[i] for image in features]) for i in layers]
        # Ovis2 has tokens around an image, which no prompt has here; Granite-Docling hands its router on unread.
        encoded |= {"visual_indicator_features": (), "router_logits": None}
        return {**rest, "mm_encoder_outputs": {self._kind: encoded}}


def prompt_maker(family: Family, video: bool = False) -> PromptMaker:
    """Return a maker of prompts, with images or videos, in the form that the model reads.

    Raises:
        UnsupportedModelError: the model reads image features in none of the known forms, or no videos.
    """
    name = type(family.model).__name__
    if video and "pixel_values_videos" not in inspect.signature(family.backbone.forward).parameters:
        raise UnsupportedModelError(f"{name} reads no pixel_values_videos; it takes the frames of a video as images")
    errors = []
    # Some classes write the frames of a video with the placeholder of images.
    tokens = [family.video_token, family.image_token] if video else [family.image_token]
    for token, form in itertools.product((token for token in tokens if token is not None), FORMS):
        maker = PromptMaker(family, form, KINDS[video], token)
        try:
            with torch.no_grad():
                family.model(**maker.arguments(maker.prompt(0, 2, 3, 2)), use_cache=False)
        except (TypeError, AttributeError, RuntimeError, ValueError, IndexError, KeyError) as error:
            errors.append(error)
        else:
            return maker
    raise UnsupportedModelError(f"{name} cannot run on image features alone: {errors[0]}") from errors[0]
