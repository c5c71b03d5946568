"""The cost of a prompt in the decoder, by the paper's count and by the true one. See docs/flops.md.

python -m objectives.flops --help
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from himap.config import PruningConfig
from objectives.flops.layers import LayerShape, layer_shapes


@dataclass(frozen=True)
class DecoderShape:
    """The sizes of a decoder.

    Attributes:
        intermediate: channels of its FFN, of one expert where it has experts.
        vocabulary: 0 leaves its head out.
        kinds: its layers one by one; where they are left out, all are attention with a gated FFN of these sizes.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int = 0
    kinds: tuple[LayerShape, ...] = ()

    @property
    def each(self) -> tuple[LayerShape, ...]:
        """The layers one by one."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        token = self.hidden * (2 * query + 2 * key) + 3 * self.hidden * self.intermediate
        return self.kinds or (LayerShape(token, 2 * query),) * self.layers

    @classmethod
    def from_config(cls, config: Any) -> DecoderShape:
        """Read the sizes from a transformers configuration, of the decoder itself or with a nested `text_config`."""
        text = getattr(config, "text_config", None) or config
        heads = text.num_attention_heads
        plain = cls(
            hidden=text.hidden_size,
            intermediate=getattr(text, "intermediate_size", None) or text.moe_intermediate_size,
            layers=text.num_hidden_layers,
            heads=heads,
            kv_heads=getattr(text, "num_key_value_heads", None) or heads,
            head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
            vocabulary=text.vocab_size,
        )
        kinds = layer_shapes(text)
        return plain if kinds == plain.each else replace(plain, kinds=kinds)


def _depths(shape: DecoderShape, n_image: int, config: PruningConfig) -> list[tuple[int, int]]:
    """Return (layers, image tokens) of the three parts of the decoder."""
    k1, k2 = min(config.k1, shape.layers), min(config.k2, shape.layers)
    after_k1, after_k2 = config.kept(n_image)
    return [(k1, n_image), (k2 - k1, after_k1), (shape.layers - k2, after_k2)]


def paper_flops(shape: DecoderShape, n_image: int, config: PruningConfig) -> float:
    """Return the cost by the paper's Eq. 10, in multiply-adds: 4nd² + 2n²d + 2ndm per layer.

    It counts image tokens only and an FFN of two matrices, so it compares with the literature, not with a
    clock.
    """
    d, m = shape.hidden, shape.intermediate
    parts = _depths(shape, n_image, config)
    return float(sum(layers * (4 * n * d * d + 2 * n * n * d + 2 * n * d * m) for layers, n in parts))


def flops(shape: DecoderShape, n_image: int, n_text: int, config: PruningConfig) -> float:
    """Return the true FLOPs of one prompt's prefill as `generate` runs it; one multiply-add is 2 FLOPs.

    Counted are the matrix multiplications over image and text tokens: q, k, v and o projections with
    grouped key-value heads, the full (not halved) attention products, a gated FFN of three matrices or the experts
    of a token and their router, recurrent mixers, and the language model head at the last position. Norms, rotary
    embedding, softmax, the vision tower and the few scoring rows are left out.
    """
    lengths = _lengths(shape, n_image, n_text, config)
    layers = sum(layer.prefill(length) for layer, length in zip(shape.each, lengths, strict=True))
    return float(layers + _head_flops(shape))


def token_flops(shape: DecoderShape, n_image: int, n_text: int, config: PruningConfig, token: int = 1) -> float:
    """Return the true FLOPs of one generated token: a forward pass over it alone, on the cache of the pruned prompt.

    Counted is the same as in `flops`. The prefill itself gives the first new token; pass `token` = 1 reads it and gives
    the second. Each layer attends to what its own cache holds.
    """
    lengths = _lengths(shape, n_image, n_text + token, config)
    layers = sum(layer.one_token(length) for layer, length in zip(shape.each, lengths, strict=True))
    return float(layers + _head_flops(shape))


def _lengths(shape: DecoderShape, n_image: int, n_text: int, config: PruningConfig) -> list[int]:
    """Return the number of tokens in each layer."""
    return [n + n_text for layers, n in _depths(shape, n_image, config) for _ in range(layers)]


def _head_flops(shape: DecoderShape) -> int:
    """Return the FLOPs of the language model head at one position."""
    return 2 * shape.hidden * shape.vocabulary


def flops_ratio(
    shape: DecoderShape, image_tokens: Sequence[int], text_tokens: Sequence[int], config: PruningConfig
) -> float:
    """Return the true prefill FLOPs of some prompts as a share of their dense FLOPs; one entry per prompt."""
    prompts = list(zip(image_tokens, text_tokens, strict=True))
    own = sum(flops(shape, image, text, config) for image, text in prompts)
    return own / sum(flops(shape, image, text, PruningConfig.dense()) for image, text in prompts)
