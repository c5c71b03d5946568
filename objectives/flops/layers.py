"""The cost of one decoder layer of any kind: attention, latent attention, recurrent mixers, experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CHUNK = 64  # tokens that transformers' gated delta rule multiplies at once; a prompt is padded to a multiple


@dataclass(frozen=True)
class LayerShape:
    """What a layer multiplies, in multiply-adds.

    Attributes:
        token: for each token of the pass, its products with weights.
        pair: for each pair of a query and a key.
        key: for each key that the pass attends to, where keys are expanded from latents in every pass.
        state: for each token of a generated token's pass, its products with a recurrent state.
        chunk: for each token of a prompt that is read in chunks, the same.
        window: keys that a generated token attends to at most; None for all.
    """

    token: int
    pair: int = 0
    key: int = 0
    state: int = 0
    chunk: int = 0
    window: int | None = None

    def prefill(self, tokens: int) -> int:
        """Return the FLOPs of a prompt; attention is not halved, whatever its mask."""
        padded = -(-tokens // CHUNK) * CHUNK
        return 2 * (tokens * (self.token + self.key + tokens * self.pair) + padded * self.chunk)

    def one_token(self, keys: int) -> int:
        """Return the FLOPs of one generated token that finds `keys` keys, its own counted."""
        seen = keys if self.window is None else min(keys, self.window)
        return 2 * (self.token + self.state + keys * self.key + seen * self.pair)


def layer_shapes(text: Any) -> tuple[LayerShape, ...]:
    """Return the layers of a decoder from its transformers configuration."""
    kinds = getattr(text, "layer_types", None) or ["sliding_attention"] * text.num_hidden_layers
    return tuple(_layer(text, index, kind) for index, kind in enumerate(kinds))


def _layer(text: Any, index: int, kind: str) -> LayerShape:
    ffn, hidden = _ffn(text, index), text.hidden_size
    if kind == "conv":
        return LayerShape(ffn + 4 * hidden * hidden + hidden * text.conv_L_cache)
    if kind == "linear_attention":
        return _gated_delta(text, ffn)
    window = getattr(text, "sliding_window", None) if kind == "sliding_attention" else None
    heads = text.num_attention_heads
    if getattr(text, "kv_lora_rank", None):
        return _latent(text, ffn)
    width = getattr(text, "head_dim", None) or hidden // heads
    keys = (getattr(text, "num_key_value_heads", None) or heads) * width
    gate = heads * width if hasattr(text, "linear_num_value_heads") else 0  # these attention layers gate their output
    return LayerShape(ffn + hidden * (2 * heads * width + 2 * keys + gate), 2 * heads * width, window=window)


def _latent(text: Any, ffn: int) -> LayerShape:
    """Return a layer of latent attention, which expands the keys and values of the whole cache in every pass."""
    hidden, heads, rank = text.hidden_size, text.num_attention_heads, text.kv_lora_rank
    query, value = text.qk_nope_head_dim + text.qk_rope_head_dim, text.v_head_dim
    of_query = hidden * heads * query if text.q_lora_rank is None else text.q_lora_rank * (hidden + heads * query)
    token = of_query + hidden * (rank + text.qk_rope_head_dim) + heads * value * hidden
    return LayerShape(ffn + token, heads * (query + value), rank * heads * (text.qk_nope_head_dim + value))


def _gated_delta(text: Any, ffn: int) -> LayerShape:
    """Return a layer of the gated delta rule: q, k, v, a gate, two scalars a head, a convolution and a state."""
    heads, k, v = text.linear_num_value_heads, text.linear_key_head_dim, text.linear_value_head_dim
    keys, values = text.linear_num_key_heads * k, heads * v
    convolution = (2 * keys + values) * text.linear_conv_kernel_dim
    token = text.hidden_size * (2 * keys + 3 * values + 2 * heads) + convolution
    state = 3 * heads * k * v
    return LayerShape(ffn + token, state=state, chunk=state + heads * CHUNK * (2 * k + v))


def _ffn(text: Any, index: int) -> int:
    """Return a token's products in the FFN: three matrices, or those of its experts and the router."""
    hidden = text.hidden_size
    names = ("num_experts", "n_routed_experts", "num_local_experts")
    experts = next((count for name in names if (count := getattr(text, name, None))), 0)
    kinds = getattr(text, "mlp_layer_types", None)
    dense = index < (getattr(text, "first_k_dense_replace", None) or 0) or (kinds and kinds[index] == "dense")
    if not experts or dense:
        return 3 * hidden * _dense_width(text)
    width = getattr(text, "moe_intermediate_size", None) or text.intermediate_size
    shared = getattr(text, "shared_expert_intermediate_size", None) or 0
    gate = hidden if shared else 0
    shared += (getattr(text, "n_shared_experts", None) or 0) * width
    return hidden * experts + gate + 3 * hidden * (text.num_experts_per_tok * width + shared)


def _dense_width(text: Any) -> int:
    """Return the channels of a dense FFN; LFM2 derives them from its `intermediate_size`."""
    width: int = text.intermediate_size
    if not getattr(text, "block_auto_adjust_ff_dim", False):
        return width
    width = int(text.block_ffn_dim_multiplier * int(2 * width / 3))
    return text.block_multiple_of * -(-width // text.block_multiple_of)
