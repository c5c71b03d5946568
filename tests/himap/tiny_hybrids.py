"""Small random-weight models whose decoders differ from the standard loop, and prompts for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as tf

from tests.himap.tiny_families import GRIDS, SIZES, WINDOW, _built, _fixed, _qwen_vision, _vision, decoder, image_prompt
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


def mistral3(text: dict[str, Any], attention: str = "sdpa") -> Any:
    config = tf.Mistral3Config(
        text_config=text, vision_config=_vision("pixtral", image_size=32, head_dim=16), image_token_index=IMAGE_ID
    )
    return _built(tf.Mistral3ForConditionalGeneration, config, attention)


def _scaled_rope(**options: Any) -> dict[str, Any]:
    """Return rotary parameters that scale queries from position 8 on, within the tiny prompts."""
    return {
        "rope_type": "yarn",
        "rope_theta": 10000.0,
        "factor": 16.0,
        "original_max_position_embeddings": 8,
        "max_position_embeddings": 256,
        "llama_4_scaling_beta": 0.3,
        **options,
    }


def ministral3(attention: str = "sdpa") -> Any:
    return mistral3(decoder("ministral3", rope_parameters=_scaled_rope(), num_hidden_layers=HYBRID_LAYERS), attention)


def mistral4(attention: str = "sdpa") -> Any:
    """Return a Mistral 4 decoder: latent attention, whose cache holds neither keys nor values, and experts."""
    text = decoder(
        "mistral4",
        rope_parameters=_scaled_rope(),
        num_hidden_layers=HYBRID_LAYERS,
        moe_intermediate_size=24,
        n_routed_experts=4,
        num_experts_per_tok=2,
        num_key_value_heads=4,
        kv_lora_rank=16,
        q_lora_rank=None,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=12,
    )
    del text["head_dim"]
    return mistral3(text, attention)


def paligemma2(attention: str = "eager") -> Any:
    """Return a PaliGemma 2, whose attention logits are capped where it matters."""
    text = decoder("gemma2", attn_logit_softcapping=0.7, query_pre_attn_scalar=12, sliding_window=WINDOW)
    config = tf.PaliGemmaConfig(
        text_config=text,
        vision_config=_vision("siglip_vision_model", projection_dim=48, vision_use_head=False),
        image_token_index=IMAGE_ID,
        projection_dim=48,
        hidden_size=48,
    )
    return _built(tf.PaliGemmaForConditionalGeneration, config, attention)


def internvl_gpt_oss(attention: str = "eager") -> Any:
    """Return an InternVL with a gpt-oss decoder: sinks, experts, windows in every other layer."""
    vision = _vision("internvl_vision", image_size=(16, 16), patch_size=(2, 2))
    text = decoder("gpt_oss", num_local_experts=4, num_experts_per_tok=2, sliding_window=WINDOW)
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 10000.0}
    config = tf.InternVLConfig(vision_config=vision, text_config=text, image_token_id=IMAGE_ID, image_seq_length=16)
    model = _built(tf.InternVLForConditionalGeneration, config, attention)
    for layer in model.model.language_model.layers:
        torch.nn.init.normal_(layer.self_attn.sinks, mean=1.0)
    return model


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


def _pixtral_prompts(model: Any) -> list[Prompt]:
    """Return images of 4 x 4 tokens, each merged of 2 x 2 patches of 4 x 4 pixels."""
    rows = [image_prompt(*size, 16, (1, 3, 32, 32)) for size in SIZES]
    return [{**prompt, "image_sizes": torch.tensor([[32, 32]])} for prompt in rows]


HYBRIDS: dict[str, tuple[Callable[..., Any], Callable[[Any], list[Prompt]]]] = {
    "qwen3_5": (qwen3_5, _grids),
    "qwen3_5_moe": (qwen3_5_moe, _grids),
    "lfm2_vl": (lfm2_vl, _lfm2_prompts),
    "paligemma2": (paligemma2, _fixed((1, 3, 16, 16), lambda prompt: torch.zeros_like(prompt["input_ids"]))),
    "internvl_gpt_oss": (internvl_gpt_oss, _fixed((1, 3, 16, 16))),
    "ministral3": (ministral3, _pixtral_prompts),
    "mistral4": (mistral4, _pixtral_prompts),
}


def subject(name: str) -> Subject:
    """Return a model with three prompts of different lengths."""
    build, prompts = HYBRIDS[name]
    model = build()
    return Subject(model, prompts(model), build)
