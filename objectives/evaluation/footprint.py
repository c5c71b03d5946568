"""What a checkpoint needs of memory and arithmetic, by its configuration alone: no weights are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText

from himap import PruningConfig, families
from objectives.evaluation.features import takes_features
from objectives.evaluation.prompt_check import PromptSize
from objectives.flops import DecoderShape, flops, token_flops

_RANKED = 4  # bytes of a number of the attention that ranks tokens


@dataclass(frozen=True)
class Footprint:
    """A checkpoint by its configuration.

    Attributes:
        shape: of its decoder.
        weights: bytes.
        number: bytes of a number that the model computes with.
        vision: parameters of the vision tower and its projector.
        vision_pairs: multiply-adds of the vision tower for each pair of patches that attend to each other.
        cached: numbers that the KV cache holds for each token.
        features: whether images are encoded once and then reused, see `takes_features`.
    """

    shape: DecoderShape
    weights: int
    number: int
    vision: int
    vision_pairs: int
    cached: int
    features: bool

    def image_flops(self, size: PromptSize) -> float:
        """Return the FLOPs of the vision tower for the images of a prompt."""
        return 2.0 * size.patches * (self.vision + size.patches * self.vision_pairs)

    def prompt_flops(self, size: PromptSize, config: PruningConfig, new_tokens: int) -> float:
        """Return the FLOPs of the decoder for a prompt and its answer; of the vision tower where it runs each time."""
        counts = (self.shape, size.image, size.text, config)
        decoded = (new_tokens - 1) * token_flops(*counts, new_tokens // 2)  # it grows evenly with the tokens before
        return flops(*counts) + decoded + (0.0 if self.features else self.image_flops(size))

    def features_bytes(self, size: PromptSize) -> int:
        """Return what is kept of a prompt's images between trials: their features, or their pixels."""
        return self.number * (size.image * self.shape.hidden if self.features else size.pixels)

    def cache_bytes(self, size: PromptSize, new_tokens: int) -> int:
        """Return the KV cache of one dense prompt with its answer."""
        return self.number * self.cached * (size.image + size.text + new_tokens)

    def activation_bytes(self, size: PromptSize) -> int:
        """Return the largest layer's activations of one prompt, with the attention that ranks its image tokens."""
        shape, tokens = self.shape, size.image + size.text
        attention = shape.head_dim * (3 * shape.heads + 4 * shape.kv_heads)
        layer = self.number * tokens * (2 * shape.hidden + max(attention, 3 * shape.intermediate))
        ranking = 2 * _RANKED * shape.heads * size.image * tokens
        return max(layer, ranking) + (self.number + 4) * shape.vocabulary


def footprint(weights: str | Path, dtype: torch.dtype) -> Footprint:
    """Return a checkpoint's footprint where the model computes in `dtype`.

    Args:
        weights: folder or hub id with a configuration; the weights need not be there.
    """
    config = AutoConfig.from_pretrained(weights)
    with torch.device("meta"):
        model: Any = AutoModelForImageTextToText.from_config(config)
    family = families.find(model)
    decoder = family.decoder
    shape = DecoderShape.from_config(model.config)
    head = model.get_output_embeddings()
    total = _parameters([model])
    vision: Any = getattr(model.config, "vision_config", None)  # Chameleon and Emu3 have none
    depth: Any = getattr(vision, "num_hidden_layers", None) or getattr(vision, "depth", 0)
    width: Any = getattr(vision, "embed_dim", None) or getattr(vision, "hidden_size", 0)
    whole = getattr(vision, "fullatt_block_indexes", None)  # the other blocks of such a tower see small windows only
    return Footprint(
        shape,
        _weight_bytes(config, total, dtype),
        dtype.itemsize,
        total - _parameters([decoder, *([head] if head is not None else [])]),
        2 * width * (depth if whole is None else len(whole)),
        sum(_cached(decoder.config, shape) for layer in range(shape.layers) if family.attends(layer)),
        takes_features(model),
    )


def _parameters(modules: Sequence[nn.Module]) -> int:
    return sum(one.numel() for one in {id(p): p for module in modules for p in module.parameters()}.values())


def _weight_bytes(config: Any, parameters: int, dtype: torch.dtype) -> int:
    """Return the bytes of all weights; of quantized ones by the bits of their configuration."""
    quantization = getattr(config, "quantization_config", None)
    if not quantization:
        return parameters * dtype.itemsize
    settings = quantization if isinstance(quantization, dict) else quantization.to_dict()
    bits = settings.get("bits") or (4 if settings.get("load_in_4bit") else 8)
    return parameters * int(bits) // 8


def _cached(text: Any, shape: DecoderShape) -> int:
    """Return the numbers that one attention layer's cache holds for each token."""
    if getattr(text, "kv_lora_rank", None):  # transformers keeps the expanded keys and values
        return shape.heads * int(text.qk_nope_head_dim + text.qk_rope_head_dim + text.v_head_dim)
    return 2 * shape.kv_heads * shape.head_dim
