"""Build the two mini architectures from configurations of the unchanged transformers classes."""

from __future__ import annotations

from typing import Any

from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

NAMES = ("llava-mini", "qwenvl-mini")
HIDDEN, LAYERS, HEADS, INTERMEDIATE = 128, 12, 4, 352
LLAVA_SIDE, LLAVA_PATCH, QWEN_TOKEN = 120, 10, 8  # pixels; Qwen merges 2 x 2 patches into a token

_DECODER: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-6,
}


def build_model(name: str, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """Return `llava-mini` or `qwenvl-mini` with random weights in float32."""
    return _llava(tokenizer) if name == "llava-mini" else _qwen(tokenizer)


def special_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """Return the ids of the padding, first and last token, as configurations name them."""
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}


def _llava(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=LLAVA_SIDE,
        patch_size=LLAVA_PATCH,
        projection_dim=128,
    )
    image_token_id: Any = tokenizer.convert_tokens_to_ids("<image>")
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    text = LlamaConfig(**_DECODER, **special_ids(tokenizer), vocab_size=len(tokenizer), rope_parameters=rope)
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=image_token_id,
        image_seq_length=(LLAVA_SIDE // LLAVA_PATCH) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    return LlavaForConditionalGeneration(config)


def _qwen(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    vision = {
        "depth": 4,
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_heads": 4,
        "out_hidden_size": HIDDEN,
        "patch_size": QWEN_TOKEN // 2,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 24,
        "fullatt_block_indexes": [3],
        "tokens_per_second": 2,
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]}
    special = special_ids(tokenizer) | {"vocab_size": len(tokenizer)}
    text = _DECODER | special | {"rope_parameters": rope, "use_sliding_window": False}
    marks = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    to_id: Any = tokenizer.convert_tokens_to_ids
    ids: dict[str, Any] = {f"{name}_token_id": to_id(f"<|{mark}|>") for name, mark in marks.items()}
    config = Qwen2_5_VLConfig(vision_config=vision, text_config=text, tie_word_embeddings=True, **ids)
    return Qwen2_5_VLForConditionalGeneration(config)
