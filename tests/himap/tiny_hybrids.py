"""Small random-weight models whose decoders differ from the standard loop, and prompts for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as tf

from tests.himap.tiny_families import GRIDS, SIZES, _built, _qwen_vision, _vision, decoder, image_prompt
from tests.himap.tiny_models import IMAGE_ID, Prompt, Subject, qwen_prompt

HYBRID_LAYERS = 10
_QWEN = {"image_token_id": IMAGE_ID, "video_token_id": 91, "vision_start_token_id": 92, "vision_end_token_id": 93}
_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2], "mrope_interleaved": True}
_LINEAR = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "partial_rotary_factor": 1.0,
    "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 2 + ["linear_attention"] * 2,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}


def _qwen3_5_vision() -> dict[str, Any]:
    return _qwen_vision(
        hidden_size=32, intermediate_size=64, out_hidden_size=48, num_position_embeddings=144, in_channels=3
    )


def qwen3_5(attention: str = "sdpa") -> Any:
    """Return a Qwen3.5: attention in layers 3 and 7, gated delta rules in all others."""
    text = decoder("qwen3_5_text", num_hidden_layers=HYBRID_LAYERS, rope_parameters=_ROPE, **_LINEAR)
    config = tf.Qwen3_5Config(text_config=text, vision_config=_qwen3_5_vision(), **_QWEN)
    return _built(tf.Qwen3_5ForConditionalGeneration, config, attention)


def qwen3_5_moe(attention: str = "sdpa") -> Any:
    text = decoder("qwen3_5_moe_text", num_hidden_layers=HYBRID_LAYERS, rope_parameters=_ROPE, **_LINEAR, **EXPERTS)
    text["shared_expert_intermediate_size"] = 24
    config = tf.Qwen3_5MoeConfig(text_config=text, vision_config=_qwen3_5_vision(), **_QWEN)
    return _built(tf.Qwen3_5MoeForConditionalGeneration, config, attention)


def lfm2_vl(attention: str = "sdpa") -> Any:
    """Return an LFM2-VL: attention in layers 2, 5 and 8, short convolutions in all others."""
    kinds = [
        "conv",
        "conv",
        "full_attention",
        "conv",
        "conv",
        "full_attention",
        "conv",
        "conv",
        "full_attention",
        "conv",
    ]
    text = decoder("lfm2", num_hidden_layers=HYBRID_LAYERS, layer_types=kinds, block_multiple_of=8)
    vision = _vision("siglip2_vision_model", num_patches=64)
    config = tf.Lfm2VlConfig(
        text_config=text, vision_config=vision, image_token_id=IMAGE_ID, projector_hidden_size=64, downsample_factor=2
    )
    return _built(tf.Lfm2VlForConditionalGeneration, config, attention)


def _grids(model: Any) -> list[Prompt]:
    return [qwen_prompt(*size, grid) for size, grid in zip(SIZES, GRIDS, strict=True)]


def _lfm2_prompts(model: Any) -> list[Prompt]:
    prompts = []
    for size, (rows, columns) in zip(SIZES, ((4, 4), (3, 3), (2, 5)), strict=True):
        prompt = image_prompt(*size, rows * columns, (1, 64, 48))
        patches = torch.arange(64)[None] < 4 * rows * columns
        shapes = torch.tensor([[2 * rows, 2 * columns]])
        prompts.append({**prompt, "spatial_shapes": shapes, "pixel_attention_mask": patches.long()})
    return prompts


HYBRIDS: dict[str, tuple[Callable[..., Any], Callable[[Any], list[Prompt]]]] = {
    "qwen3_5": (qwen3_5, _grids),
    "qwen3_5_moe": (qwen3_5_moe, _grids),
    "lfm2_vl": (lfm2_vl, _lfm2_prompts),
}


def subject(name: str) -> Subject:
    """Return a model with three prompts of different lengths."""
    build, prompts = HYBRIDS[name]
    model = build()
    return Subject(model, prompts(model), build)
