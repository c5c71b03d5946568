"""What the engine has to know about a model family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from himap.errors import InputError, UnsupportedModelError

DECODERS = (
    "Gemma3TextModel",
    "GemmaModel",
    "LlamaModel",
    "MistralModel",
    "Qwen2Model",
    "Qwen2VLTextModel",
    "Qwen2_5_VLTextModel",
    "Qwen3Model",
    "Qwen3VLTextModel",
)


class Family:
    """Finds the parts of one transformers model. Holds no state of a run and changes nothing.

    A family is a subclass that names its transformers class and, where it differs, overrides an attribute or
    a method. The engine expects of the decoder that each layer is called as `layer(hidden_states,
    attention_mask=, position_embeddings=(cos, sin), position_ids=, cache=, ...)` (the cache's name differs
    between versions, see `himap.caches`), returns a tensor, and hands further keyword arguments on to its
    attention function; `DECODERS` are the transformers classes that do.

    Attributes:
        model_class: name of the transformers class.
        decoder_name: the decoder's attribute in the backbone.
        token_types_name: the backbone's argument that is 1 at image tokens, if it has one.
        adds_features: the decoder's method that adds image features between layers (DeepStack), if any; it is
            called with the hidden states, a mask of the image tokens and their features.
    """

    model_class: ClassVar[str]
    decoder_name: ClassVar[str] = "language_model"
    token_types_name: ClassVar[str | None] = None
    adds_features: ClassVar[str | None] = None

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model

    @property
    def backbone(self) -> nn.Module:
        """The module whose forward receives `input_ids` and merges the image features in."""
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
        """Refuse a decoder that the engine was not made for.

        Raises:
            UnsupportedModelError: an unknown decoder class, or layers of an unknown kind of attention.
        """
        name = type(self.decoder).__name__
        if name not in DECODERS:
            raise UnsupportedModelError(
                f"the decoder of this {self.model_class} is {name}; can be pruned: {', '.join(DECODERS)}"
            )
        kinds = set(getattr(self.decoder.config, "layer_types", None) or ())
        if getattr(self.decoder.config, "attn_logit_softcapping", None):
            raise UnsupportedModelError("a decoder that caps its attention logits cannot be pruned (SDPA cannot)")
        if unknown := kinds - {"full_attention", "sliding_attention"}:
            raise UnsupportedModelError(f"decoder layers with {min(unknown)} cannot be pruned")

    def window(self, layer: int) -> int | None:
        """How far back a layer can look, in tokens and with its own; None if all the way."""
        config = self.decoder.config
        kinds = getattr(config, "layer_types", None)
        if kinds and kinds[layer] == "full_attention":
            return None
        window: int | None = getattr(config, "sliding_window", None)
        return window

    def image_mask(self, inputs: Mapping[str, Any]) -> Tensor | None:
        """Where the image tokens are.

        Args:
            inputs: keyword arguments of the backbone's forward.

        Returns:
            (batch, slots) bool, or None if the inputs do not say.
        """
        ids, embeds = inputs.get("input_ids"), inputs.get("inputs_embeds")
        token = self.model.config.image_token_id
        if isinstance(ids, Tensor):
            return ids == token
        kinds = inputs.get(self.token_types_name) if self.token_types_name else None
        if isinstance(kinds, Tensor):
            return kinds == 1
        if isinstance(embeds, Tensor) and inputs.get("pixel_values") is not None:
            # The placeholders are still in there, and the model finds them in this way.
            placeholder = self.model.get_input_embeddings()(torch.tensor(token, device=embeds.device))
            return (embeds == placeholder).all(-1)
        return None

    def grids(self, inputs: Mapping[str, Any]) -> Tensor | None:
        """(images, 2) rows and columns of tokens of every image in prompt order; None if not said."""
        return None

    def check_prompt(self, inputs: Mapping[str, Any]) -> None:
        """Refuse a prompt that this family would read in a way that cannot be pruned.

        Raises:
            InputError: with the reason.
        """


class BidirectionalPrompt(Family):
    """A family in which tokens of the prompt look ahead, as its token types say."""

    token_types_name: ClassVar[str | None] = "token_type_ids"

    def check_prompt(self, inputs: Mapping[str, Any]) -> None:
        if inputs.get("token_type_ids") is None:
            raise InputError(
                f"{self.model_class} reads from token_type_ids which tokens look ahead; pass them, "
                "as its processor returns them"
            )
