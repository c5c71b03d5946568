"""The cost of a prompt in the decoder, by the paper's count and by the true one. See docs/flops.md.

python -m objectives.flops --help
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from himap.config import PruningConfig


@dataclass(frozen=True)
class DecoderShape:
    """The sizes of a decoder; `intermediate` are the channels of its FFN, a vocabulary of 0 leaves its head out."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int = 0

    @classmethod
    def from_config(cls, config: Any) -> DecoderShape:
        """Read the sizes from a transformers configuration, of the decoder itself or with a nested `text_config`."""
        text = getattr(config, "text_config", None) or config
        heads = text.num_attention_heads
        return cls(
            hidden=text.hidden_size,
            intermediate=text.intermediate_size,
            layers=text.num_hidden_layers,
            heads=heads,
            kv_heads=getattr(text, "num_key_value_heads", None) or heads,
            head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
            vocabulary=text.vocab_size,
        )


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
    grouped key-value heads, the full (not halved) attention products, a gated FFN of three matrices, and the
    language model head at the last position. Norms, rotary embedding, softmax, the vision tower and the few
    scoring rows are left out.
    """
    parts = [(layers, n + n_text) for layers, n in _depths(shape, n_image, config)]
    return float(sum(layers * _layer_flops(shape, n, n) for layers, n in parts) + _head_flops(shape))


def token_flops(shape: DecoderShape, n_image: int, n_text: int, config: PruningConfig, token: int = 1) -> float:
    """Return the true FLOPs of one generated token: a forward pass over it alone, on the cache of the pruned prompt.

    Counted is the same as in `flops`. The prefill itself gives the first new token; pass `token` = 1 reads it and gives
    the second. Each layer attends to what its own cache holds.
    """
    parts = [(layers, n + n_text + token) for layers, n in _depths(shape, n_image, config)]
    return float(sum(layers * _layer_flops(shape, 1, keys) for layers, keys in parts) + _head_flops(shape))


def _layer_flops(shape: DecoderShape, tokens: int, keys: int) -> int:
    """Return the FLOPs of one decoder layer over `tokens` that attend to `keys`."""
    query_width, key_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    projections = 2 * tokens * shape.hidden * (2 * query_width + 2 * key_width)
    attention = 4 * tokens * keys * query_width
    return projections + attention + 6 * tokens * shape.hidden * shape.intermediate


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
