"""The adapter between the engine and a model family."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from himap.errors import UnsupportedModelError
from himap.families import structure
from himap.families.grids import Grids
from himap.families.structure import ATTENTION

PIXELS = ("pixel_values", "pixel_values_videos")
VIDEO_TYPE = 2  # in `mm_token_type_ids`


class Family:
    """The parts of one transformers model; it changes nothing and holds no state of a call.

    The parts are found by structure, see `himap.families.structure`; a class whose structure does not show how it
    marks its images has a subclass. The engine relies on three properties of a decoder layer: it is called as
    `layer(hidden_states, attention_mask=, position_embeddings=, position_ids=, cache=, ...)`, it returns a tensor,
    and, if it computes attention, it passes other keyword arguments on to its attention function. A recurrent
    layer has a mask `(batch, tokens)` of the tokens that are no padding, or None.

    Args:
        model: the transformers model.
        video: whether tokens of a video count as image tokens, and not as text.

    Attributes:
        decoder: the language model, with `.layers` and `.config`.
        backbone: the module whose forward takes `input_ids` and merges the image features.
        token_types_name: name of the backbone's argument that is 1 at image tokens, if it has one.
        deepstack_method: name of the decoder's method that adds image features between layers, if it has one;
            its arguments are the hidden states, a mask of the image tokens, and their features.
    """

    def __init__(self, model: nn.Module, *, video: bool = True) -> None:
        self.model: Any = model
        self._video = video
        self.decoder: Any = structure.find_decoder(model)
        self.backbone = structure.find_backbone(model, self.decoder)
        names = inspect.signature(self.backbone.forward).parameters
        self.token_types_name = next((name for name in ("token_type_ids", "mm_token_type_ids") if name in names), None)
        self.deepstack_method = "_deepstack_process" if hasattr(self.decoder, "_deepstack_process") else None

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The decoder layers, in order."""
        layers: Sequence[nn.Module] = self.decoder.layers
        return layers

    @property
    def image_token(self) -> int:
        """The id of the placeholder of an image token.

        Raises:
            UnsupportedModelError: the configuration does not name it.
        """
        return image_token(self.model.config)

    @property
    def video_token(self) -> int | None:
        """The id of the placeholder of a video token; None if it is that of an image token, or counts as text."""
        config = self.model.config
        token: int | None = getattr(config, "video_token_id", getattr(config, "video_token_index", None))
        return token if self._video and token != self.image_token else None

    def attends(self, layer: int) -> bool:
        """Return whether a layer computes attention, so that a criterion can rank by it; a recurrent one does not."""
        return _attends(self.decoder.config, layer)

    def stores_keys(self, layer: int) -> bool:
        """Return whether a layer's cache holds, for it alone, the keys and values that its attention reads."""
        config = self.decoder.config
        return self.attends(layer) and not getattr(config, "kv_lora_rank", None)

    def ranking_layer(self, cut: int) -> int | None:
        """Return the nearest attention layer in front of a cut; None without one."""
        return next((layer for layer in reversed(range(cut)) if self.attends(layer)), None)

    @property
    def cut_layers(self) -> tuple[int, ...]:
        """The layers K whose layer in front, K-1, computes the attention that ranks the tokens."""
        return cut_layers(self.decoder.config)

    def window(self, layer: int) -> int | None:
        """Return the size of a layer's sliding window in tokens, its own counted; None for full attention."""
        config = self.decoder.config
        kinds = getattr(config, "layer_types", None)
        if kinds and kinds[layer] != "sliding_attention":
            return None
        window: int | None = getattr(config, "sliding_window", None)
        return window

    def image_mask(self, inputs: Mapping[str, Any]) -> Tensor | None:
        """Return the mask of the image tokens, those of videos included.

        Args:
            inputs: arguments of the backbone's forward, by name.

        Returns:
            `(batch, slots)` bool, or None if the inputs do not show it.
        """
        ids, embeds = inputs.get("input_ids"), inputs.get("inputs_embeds")
        tokens = [token for token in (self.image_token, self.video_token) if token is not None]
        if isinstance(ids, Tensor):
            return functools.reduce(operator.or_, [ids == token for token in tokens])
        token_types = inputs.get(self.token_types_name) if self.token_types_name else None
        if isinstance(token_types, Tensor):
            return (token_types == 1) | self._video_types(inputs, token_types)
        if isinstance(embeds, Tensor) and any(inputs.get(name) is not None for name in PIXELS):
            # The model itself finds the placeholders by their embedding.
            placeholders = self.model.get_input_embeddings()(torch.tensor(tokens, device=embeds.device))
            return functools.reduce(operator.or_, [(embeds == placeholder).all(-1) for placeholder in placeholders])
        return None

    def video_mask(self, inputs: Mapping[str, Any], visual: Tensor) -> Tensor:
        """Return the mask of the tokens of videos among the `visual` ones, which `image_mask` returns.

        A class that writes frames with the placeholder of images marks them by their token types, or not at all.
        """
        ids = inputs.get("input_ids")
        by_id = ids == self.video_token if isinstance(ids, Tensor) and self.video_token is not None else visual & False
        return (by_id | self._video_types(inputs, visual)) & visual

    def _video_types(self, inputs: Mapping[str, Any], like: Tensor) -> Tensor:
        token_types = inputs.get("mm_token_type_ids") if self._video else None
        if isinstance(token_types, Tensor) and token_types.shape == like.shape:
            return token_types == VIDEO_TYPE
        return torch.zeros_like(like, dtype=torch.bool)

    def grids(self, inputs: Mapping[str, Any]) -> Grids:
        """Return the sizes of a call's images and videos."""
        return Grids.of_call(self.model.config, inputs)

    def check_prompt(self, inputs: Mapping[str, Any]) -> None:
        """Refuse a prompt that this family reads in a way that cannot be pruned.

        Raises:
            InputError: an argument is missing that the family needs.
        """


def image_token(config: Any) -> int:
    """Return the id of the placeholder of an image token, from the configuration of a whole model.

    Raises:
        UnsupportedModelError: the configuration does not name it.
    """
    names = ("image_token_id", "image_token_index", "image_patch_id")
    vocabulary = getattr(config, "vocabulary_map", None) or {}
    named = (*(getattr(config, name, None) for name in names), vocabulary.get("<image>"))
    token: int | None = next((value for value in named if value is not None), None)
    if token is None:
        raise UnsupportedModelError(
            f"got a {type(config).__name__} that names no placeholder of image tokens; expected one of "
            f"{', '.join(names)}; pass the configuration of a vision-language model"
        )
    return token


def _attends(config: Any, layer: int) -> bool:
    kinds = getattr(config, "layer_types", None)
    return not kinds or kinds[layer] in ATTENTION


def cut_layers(config: Any) -> tuple[int, ...]:
    """Return `Family.cut_layers` from the configuration of a decoder, without its weights."""
    return tuple(k for k in range(1, config.num_hidden_layers) if _attends(config, k - 1))
