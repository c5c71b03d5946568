"""The adapter between the engine and a model family."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from himap.errors import UnsupportedModelError
from himap.families import structure
from himap.families.structure import ATTENTION


class Family:
    """The parts of one transformers model; it changes nothing and holds no state of a call.

    The parts are found by structure, see `himap.families.structure`; a class whose structure does not show how it
    marks its images has a subclass. The engine relies on three properties of a decoder layer: it is called as
    `layer(hidden_states, attention_mask=, position_embeddings=, position_ids=, cache=, ...)`, it returns a tensor,
    and, if it computes attention, it passes other keyword arguments on to its attention function. A recurrent
    layer has a mask `(batch, tokens)` of the tokens that are no padding, or None.

    Attributes:
        decoder: the language model, with `.layers` and `.config`.
        backbone: the module whose forward takes `input_ids` and merges the image features.
        token_types_name: name of the backbone's argument that is 1 at image tokens, if it has one.
        deepstack_method: name of the decoder's method that adds image features between layers, if it has one;
            its arguments are the hidden states, a mask of the image tokens, and their features.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model
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
        config = self.model.config
        named = (getattr(config, name, None) for name in ("image_token_id", "image_token_index", "image_patch_id"))
        token: int | None = next((value for value in named if value is not None), None)
        if token is None:
            raise UnsupportedModelError(f"{type(self.model).__name__} has no placeholder of image tokens in its config")
        return token

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
        if kinds and kinds[layer] == "full_attention":
            return None
        window: int | None = getattr(config, "sliding_window", None)
        return window

    def image_mask(self, inputs: Mapping[str, Any]) -> Tensor | None:
        """Return the mask of the image tokens.

        Args:
            inputs: arguments of the backbone's forward, by name.

        Returns:
            `(batch, slots)` bool, or None if the inputs do not show it.
        """
        ids, embeds = inputs.get("input_ids"), inputs.get("inputs_embeds")
        token = self.image_token
        if isinstance(ids, Tensor):
            return ids == token
        token_types = inputs.get(self.token_types_name) if self.token_types_name else None
        if isinstance(token_types, Tensor):
            return token_types == 1
        if isinstance(embeds, Tensor) and inputs.get("pixel_values") is not None:
            # The model itself finds the placeholders by their embedding.
            placeholder = self.model.get_input_embeddings()(torch.tensor(token, device=embeds.device))
            return (embeds == placeholder).all(-1)
        return None

    def grids(self, inputs: Mapping[str, Any]) -> Tensor | None:
        """Return `(images, 2)` rows and columns of tokens of every image in prompt order; None if unknown."""
        patches = inputs.get("image_grid_thw")
        merge = getattr(getattr(self.model.config, "vision_config", None), "spatial_merge_size", None)
        return patches[:, 1:] // merge if isinstance(patches, Tensor) and merge else None

    def check_prompt(self, inputs: Mapping[str, Any]) -> None:
        """Refuse a prompt that this family reads in a way that cannot be pruned.

        Raises:
            InputError: an argument is missing that the family needs.
        """


def _attends(config: Any, layer: int) -> bool:
    kinds = getattr(config, "layer_types", None)
    return not kinds or kinds[layer] in ATTENTION


def cut_layers(config: Any) -> tuple[int, ...]:
    """Return `Family.cut_layers` from the configuration of a decoder, without its weights."""
    return tuple(k for k in range(1, config.num_hidden_layers) if _attends(config, k - 1))
