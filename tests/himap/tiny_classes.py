"""A small random-weight model of every image-text-to-text class of transformers, and prompts for it.

The model is shrunk from the default configuration of its class. Its vision tower never runs: prompts bring random
image features in `mm_encoder_outputs`, as `generate` hands them over after encoding the images.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable
from functools import cache
from typing import Any

import torch
import transformers as tf
from transformers.initialization import no_init_weights
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from himap.families.structure import find_decoder
from tests.himap.tiny_models import IMAGE_ID, PAD_ID, VOCABULARY

CHANNELS, LAYERS = 48, 8
CLASSES = sorted(set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values()))
# A padded row of HunYuan-VL differs from the row alone in transformers itself, without any pruning.
UNTESTED = ["HunYuanVLForConditionalGeneration"]
_TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": CHANNELS,
    "intermediate_size": 96,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "max_position_embeddings": 512,
    "initializer_range": 0.08,
    "sliding_window": 16,
    "query_pre_attn_scalar": 12,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": VOCABULARY,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 24,
    "num_experts": 4,
    "num_local_experts": 4,
    "moe_num_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "pad_token_id": PAD_ID,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_TOP = {
    "image_token_id": IMAGE_ID,
    "image_token_index": IMAGE_ID,
    "image_patch_id": IMAGE_ID,
    "video_token_id": 91,
    "video_token_index": 91,
    "audio_token_id": 94,
    "audio_token_index": 94,
    "vision_start_token_id": 92,
    "image_start_token_id": 92,
    "vision_end_token_id": 93,
    "image_end_token_id": 93,
    "pad_token_id": PAD_ID,
    "hidden_size": CHANNELS,
    "projection_dim": CHANNELS,
}
_DERIVED = {
    "layer_types",
    "mlp_layer_types",
    "no_rope_layers",
    "layer_rope_theta",
    "per_layer_config",
    "rope_scaling_layers",
    "activation_sparsity_pattern",
    "architectures",
    "transformers_version",
}
_DEPTHS = ("num_hidden_layers", "depth", "num_layers", "encoder_layers")
_MLA = {"kv_lora_rank": 16, "q_lora_rank": None, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 12}
_STUB = {"model_type": "clip_vision_model", "num_hidden_layers": 1, "hidden_size": 48, "intermediate_size": 64}
_VOCABULARY_MAP = {"<image>": IMAGE_ID, "IMGIMGBZ": 5, "<|image token 0|>": 6}
# What the default configuration of a class does not bear in small.
EXTRA_TEXT: dict[str, dict[str, Any]] = {
    "Apertus1p5ForConditionalGeneration": {"vocab_size": 400},
    "CohereCompassForConditionalGeneration": {
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2]}
            for kind in ("sliding_attention", "full_attention")
        }
    },
    "Kimi_K25ForConditionalGeneration": {
        **_MLA,
        "num_key_value_heads": 4,
        "head_dim": 8,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
    },
    "Ernie4_5_VLMoeForConditionalGeneration": {"moe_intermediate_size": [24, 16], "moe_k": 2},
    "MuseSparkForConditionalGeneration": {"moe_hidden_size": 48},
    "Gemma3nForConditionalGeneration": {"num_kv_shared_layers": 2, "laurel_rank": 8},
    "DeepseekOcr2ForConditionalGeneration": {"mlp_layer_types": ["dense"] + ["sparse"] * (LAYERS - 1)},
    "Qwen3OmniMoeThinkerForConditionalGeneration": {"sliding_window": None},
    "Qwen3VLMoeForConditionalGeneration": {"sliding_window": None},
    "Step3p7ForConditionalGeneration": {"num_sliding_attention_heads": 4, "share_expert_dim": 24},
    "Molmo2ForConditionalGeneration": {"additional_vocab_size": 8},
    "Gemma4ForConditionalGeneration": {"hidden_size_per_layer_input": 8, "use_bidirectional_attention": "vision"},
}
_WHOLE = {
    "DeepseekOcr2ForConditionalGeneration": ("vision_config",),
    "MuseSparkForConditionalGeneration": ("vision_config", "audio_config"),
    "Molmo2ForConditionalGeneration": ("vision_config",),
}
EXTRA: dict[str, dict[str, Any]] = {
    "Apertus1p5ForConditionalGeneration": {
        "image_token_offset": 100,
        "audio_token_offset": 200,
        "vision_config": {"codebook_size": 100},
        "audio_config": {"codebook_size": 100, "model_type": "wavtokenizer_encoder"},
    },
    "AyaVisionForConditionalGeneration": {"vision_config": {**_STUB, "model_type": "siglip_vision_model"}},
    "Granite4VisionForConditionalGeneration": {"deepstack_layer_map": [[0, 1]], "downsample_rate": "1/2"},
    "GraniteDoclingForConditionalGeneration": {"vision_config": {"out_hidden_size": CHANNELS, "num_hidden_layers": 1}},
    "MuseSparkForConditionalGeneration": {"audio_config": {"out_hidden_size": CHANNELS}},
    "Ovis2ForConditionalGeneration": {"visual_indicator_token_ids": [91, 92, 93, 94, 95], "vocab_size": VOCABULARY},
    "Qwen2_5OmniThinkerForConditionalGeneration": {"vision_start_token_id": 92},
    "Qwen3OmniMoeThinkerForConditionalGeneration": {"vision_start_token_id": 92},
    "ChameleonForConditionalGeneration": {"vocabulary_map": _VOCABULARY_MAP},
    "Emu3ForConditionalGeneration": {"vocabulary_map": _VOCABULARY_MAP},
    "FastVlmForConditionalGeneration": {"vision_config": _STUB},
    "PerceptionLMForConditionalGeneration": {"vision_config": {**_STUB, "model_args": {"embed_dim": 32}}},
}


def _numbers(config: dict[str, Any], sizes: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with the sizes that it knows, and without what is computed from them."""
    kept = {name: value for name, value in config.items() if name not in _DERIVED}
    return kept | {name: value for name, value in sizes.items() if name in config}


def config_of(name: str) -> Any:
    """Return a small configuration of a class."""
    config_class = getattr(tf, name).config_class
    default = config_class()
    text: Any = default.get_text_config(decoder=True)
    top = default.to_dict()
    if text is default:
        return config_class(**_numbers(top, _TEXT) | EXTRA.get(name, {}))
    top = _numbers(top, _TOP)
    for key in default.sub_configs:
        own = getattr(default, key, None)
        if own is text:
            top[key] = _numbers(own.to_dict(), _TEXT) | EXTRA_TEXT.get(name, {})
            if "linear_key_head_dim" in top[key]:
                top[key]["num_hidden_layers"] = 10
            _set_rope(top[key], name)
        elif own is not None:
            top[key] = {**top[key], **({} if key in _WHOLE.get(name, ()) else _depths(top[key]))}
    return config_class(**top | EXTRA.get(name, {}))


def _depths(part: dict[str, Any]) -> dict[str, Any]:
    """Return one layer for a tower, which never runs."""
    return {depth: 1 for depth in _DEPTHS if isinstance(part.get(depth), int) and "layer_types" not in part}


def _set_rope(text: dict[str, Any], name: str) -> None:
    rope = text.get("rope_parameters")
    if isinstance(rope, dict) and "rope_type" in rope:
        sections = {"mrope_section": [2, 2, 2]} if _three_positions(name) else {}
        text["rope_parameters"] = {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 1.0,
            **sections,
        }


def _three_positions(name: str) -> bool:
    """Return whether a class computes positions in rows and columns."""
    return hasattr(_backbone_class(name), "get_rope_index")


def _backbone_class(name: str) -> Any:
    model_class = getattr(tf, name)
    return getattr(inspect.getmodule(model_class), name.removesuffix("ForConditionalGeneration") + "Model", model_class)


def build(name: str) -> Any:
    """Return a small model of a class; its decoder and head are random, its vision tower is never run."""
    torch.manual_seed(3)
    config = config_of(name)
    with no_init_weights():
        model = getattr(tf, name)(config)
    head = model.get_output_embeddings()
    decoder = find_decoder(model)
    for part in (decoder, *([] if head is None else [head])):
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.08)
        for module in part.modules():
            if "Norm" in type(module).__name__ and getattr(module, "weight", None) is not None:
                torch.nn.init.constant_(module.weight, _neutral(type(module)))  # type: ignore[arg-type]
    with torch.no_grad():
        for name, weight in decoder.named_parameters():
            if "q_proj.weight" in name or "k_proj.weight" in name:
                weight.mul_(3.0)  # a small error then cannot reorder a ranking
    model.generation_config.pad_token_id = PAD_ID
    return model.eval()


@cache
def _neutral(norm: Hashable) -> float:
    """Return the weight with which a norm scales by one."""
    return float("1.0 + self.weight" not in inspect.getsource(norm))  # type: ignore[arg-type]
