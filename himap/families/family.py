"""The adapter between the engine and a model family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from himap.errors import InputError, UnsupportedModelError

DECODERS = (
    "Gemma3TextModel",
    "Gemma2Model",
    "GemmaModel",
    "GptOssModel",
    "Lfm2Model",
    "LlamaModel",
    "Ministral3Model",
    "Mistral4Model",
    "MistralModel",
    "Qwen2Model",
    "Qwen2VLTextModel",
    "Qwen2_5_VLTextModel",
    "Qwen3Model",
    "Qwen3_5MoeTextModel",
    "Qwen3_5TextModel",
    "Qwen3VLTextModel",
)
ATTENTION = frozenset({"full_attention", "sliding_attention"})
RECURRENT = frozenset({"linear_attention", "conv"})


class Family:
    """The parts of one transformers model; it changes nothing and holds no state of a call.

    A family is a subclass that names its transformers class and overrides an attribute or a method where the
    model differs. The engine relies on three properties of a decoder layer: it is called as
    `layer(hidden_states, attention_mask=, position_embeddings=(cos, sin), position_ids=, cache=, ...)`, it
    returns a tensor, and, if it computes attention, it passes other keyword arguments on to its attention
    function. A recurrent layer has a mask `(batch, tokens)` of the tokens that are no padding, or None.
    `DECODERS` lists the transformers classes with these properties.

    Attributes:
        model_class: name of the transformers class.
        decoder_name: name of the decoder in the backbone.
        token_types_name: name of the backbone's argument that is 1 at image tokens, if it has one.
        deepstack_method: name of the decoder's method that adds image features between layers, if it has one;
            its arguments are the hidden states, a mask of the image tokens, and their features.
    """

    model_class: ClassVar[str]
    decoder_name: ClassVar[str] = "language_model"
    token_types_name: ClassVar[str | None] = None
    deepstack_method: ClassVar[str | None] = None

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model

    @property
    def backbone(self) -> nn.Module:
        """The module whose forward takes `input_ids` and merges the image features."""
        backbone: nn.Module = self.model.model
        return backbone

    @property
    def decoder(self) -> Any:
        """The language model, with `.layers` and `.config`."""
        return getattr(self.backbone, self.decoder_name)

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The decoder layers, in order."""
        layers: Sequence[nn.Module] = self.decoder.layers
        return layers

    def check_decoder(self) -> None:
        """Refuse a decoder that the engine does not support.

        Raises:
            UnsupportedModelError: the decoder class or the kind of attention of a layer is unknown.
        """
        name = type(self.decoder).__name__
        if name not in DECODERS:
            raise UnsupportedModelError(
                f"got a {self.model_class} with the decoder {name}; expected one of {', '.join(DECODERS)}"
            )
        kinds = set(getattr(self.decoder.config, "layer_types", None) or ())
        if unknown := kinds - ATTENTION - RECURRENT:
            raise UnsupportedModelError(f"decoder layers with {min(unknown)} cannot be pruned")

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
        token = self.model.config.image_token_id
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
        return None

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


class BidirectionalPrompt(Family):
    """A family whose token types give some tokens of the prompt bidirectional attention."""

    token_types_name: ClassVar[str | None] = "token_type_ids"

    def check_prompt(self, inputs: Mapping[str, Any]) -> None:
        if inputs.get("token_type_ids") is None:
            raise InputError(
                f"{self.model_class} reads from token_type_ids which tokens attend bidirectionally; pass them, "
                "as its processor returns them"
            )
