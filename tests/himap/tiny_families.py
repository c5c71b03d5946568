"""Small random-weight models of the families beside LLaVA-1.5 and Qwen2.5-VL, and prompts for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as tf

from tests.himap.tiny_models import IMAGE_ID, LAYERS, PAD_ID, VOCABULARY, Prompt, Subject, qwen_prompt, sharpened, words

SIZES = ((1, 4, 6), (2, 2, 9), (3, 7, 3))  # seed, number of text tokens before and after the image
GRIDS = ((4, 6), (3, 3), (5, 4))
WINDOW = 16


def decoder(model_type: str = "llama", **options: Any) -> dict[str, Any]:
    """Return the configuration of a small text decoder."""
    return {
        "model_type": model_type,
        "vocab_size": VOCABULARY,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 12,
        "max_position_embeddings": 256,
        "initializer_range": 0.08,
        "pad_token_id": PAD_ID,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **options,
    }


def _vision(kind: str, **options: Any) -> dict[str, Any]:
    return {
        "model_type": kind,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 4,
        "initializer_range": 0.3,
        **options,
    }


def _qwen_vision(**options: Any) -> dict[str, Any]:
    size = {"depth": 2, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 1}
    return {**size, "initializer_range": 0.3, **options}


_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2]}
_QWEN = {"image_token_id": IMAGE_ID, "video_token_id": 91, "vision_start_token_id": 92, "vision_end_token_id": 93}


def _built(model: type, config: Any, attention: str) -> Any:
    torch.manual_seed(2)
    config._attn_implementation = attention
    return sharpened(model(config))


def llava_with(text: dict[str, Any], attention: str = "sdpa") -> Any:
    """Return LLaVA-1.5 with another decoder."""
    vision = _vision("clip_vision_model", projection_dim=32)
    config = tf.LlavaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE_ID)
    return _built(tf.LlavaForConditionalGeneration, config, attention)


def llava_next(attention: str = "sdpa") -> Any:
    vision = _vision("clip_vision_model", projection_dim=32)
    config = tf.LlavaNextConfig(
        vision_config=vision,
        text_config=decoder("mistral", sliding_window=None),
        image_token_index=IMAGE_ID,
        image_grid_pinpoints=[[16, 32], [32, 16], [32, 32]],
    )
    return _built(tf.LlavaNextForConditionalGeneration, config, attention)


def llava_onevision(attention: str = "sdpa") -> Any:
    config = tf.LlavaOnevisionConfig(
        vision_config=_vision("siglip_vision_model"),
        text_config=decoder("qwen2"),
        image_token_index=IMAGE_ID,
        video_token_index=91,
        image_grid_pinpoints=[[16, 32], [32, 16], [32, 32]],
        vision_feature_select_strategy="full",
    )
    return _built(tf.LlavaOnevisionForConditionalGeneration, config, attention)


def qwen2_vl(attention: str = "sdpa") -> Any:
    config = tf.Qwen2VLConfig(
        text_config=decoder("qwen2_vl_text", rope_parameters=_ROPE),
        vision_config=_qwen_vision(embed_dim=32, hidden_size=48),
        **_QWEN,
    )
    return _built(tf.Qwen2VLForConditionalGeneration, config, attention)


def qwen3_vl(attention: str = "sdpa") -> Any:
    """Return a Qwen3-VL with three DeepStack features, which layers after a cut at 1 or 2 receive too."""
    vision = _qwen_vision(
        depth=4,
        hidden_size=32,
        intermediate_size=64,
        out_hidden_size=48,
        num_position_embeddings=144,
        deepstack_visual_indexes=[0, 1, 2],
    )
    text = decoder("qwen3_vl_text", rope_parameters={**_ROPE, "mrope_interleaved": True})
    config = tf.Qwen3VLConfig(text_config=text, vision_config=vision, **_QWEN)
    return _built(tf.Qwen3VLForConditionalGeneration, config, attention)


def internvl(attention: str = "sdpa") -> Any:
    vision = _vision("internvl_vision", image_size=(16, 16), patch_size=(2, 2))
    config = tf.InternVLConfig(
        vision_config=vision, text_config=decoder("qwen2"), image_token_id=IMAGE_ID, image_seq_length=16
    )
    return _built(tf.InternVLForConditionalGeneration, config, attention)


def idefics3(attention: str = "sdpa") -> Any:
    vision = _vision("idefics3_vision", image_size=32)
    config = tf.Idefics3Config(
        vision_config=vision, text_config=decoder(), image_token_id=IMAGE_ID, scale_factor=2, pad_token_id=PAD_ID
    )
    return _built(tf.Idefics3ForConditionalGeneration, config, attention)


def smolvlm(attention: str = "sdpa") -> Any:
    vision = _vision("smolvlm_vision", image_size=32)
    config = tf.SmolVLMConfig(
        vision_config=vision, text_config=decoder(), image_token_id=IMAGE_ID, scale_factor=2, pad_token_id=PAD_ID
    )
    return _built(tf.SmolVLMForConditionalGeneration, config, attention)


def gemma3(attention: str = "sdpa") -> Any:
    """Return a Gemma 3 with windowed and full layers, whose window is shorter than the prompts."""
    kinds = ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"]
    text = decoder(
        "gemma3_text",
        sliding_window=WINDOW,
        layer_types=[*kinds, "full_attention", "sliding_attention"],
        query_pre_attn_scalar=12,
    )
    config = tf.Gemma3Config(
        text_config=text,
        vision_config=_vision("siglip_vision_model"),
        image_token_index=IMAGE_ID,
        mm_tokens_per_image=16,
    )
    return _built(tf.Gemma3ForConditionalGeneration, config, attention)


def paligemma(attention: str = "sdpa") -> Any:
    config = tf.PaliGemmaConfig(
        text_config=decoder("gemma"),
        vision_config=_vision("siglip_vision_model", projection_dim=48, vision_use_head=False),
        image_token_index=IMAGE_ID,
        projection_dim=48,
        hidden_size=48,
    )
    return _built(tf.PaliGemmaForConditionalGeneration, config, attention)


def image_prompt(seed: int, before: int, after: int, tokens: int, pixels: tuple[int, ...]) -> Prompt:
    """Return one row of text, one image of a number of tokens, and text."""
    generator = torch.Generator().manual_seed(seed)
    ids = words(generator, before) + [IMAGE_ID] * tokens + words(generator, after)
    return {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "pixel_values": torch.randn(pixels, generator=generator),
    }


def _anyres(model: Any) -> list[Prompt]:
    """Return prompts with images of three shapes, whose token counts the model gives."""
    prompts = []
    for (seed, before, after), size in zip(SIZES, ((20, 30), (16, 16), (31, 17)), strict=True):
        pixels = torch.randn(1, 5, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
        sizes = torch.tensor([size])
        with torch.no_grad():
            features = model.get_image_features(pixels, image_sizes=sizes, return_dict=True).pooler_output
        prompt = image_prompt(seed, before, after, sum(map(len, features)), (1,))
        prompts.append({**prompt, "pixel_values": pixels, "image_sizes": sizes})
    return prompts


def _grids(model: Any) -> list[Prompt]:
    return [qwen_prompt(*size, grid) for size, grid in zip(SIZES, GRIDS, strict=True)]


def _fixed(pixels: tuple[int, ...], token_types: Callable[[Prompt], torch.Tensor] | None = None) -> Any:
    def prompts(model: Any) -> list[Prompt]:
        rows = [image_prompt(*size, 16, pixels) for size in SIZES]
        if token_types is not None:
            rows = [{**prompt, "token_type_ids": token_types(prompt)} for prompt in rows]
        return rows

    return prompts


FAMILIES: dict[str, tuple[Callable[..., Any], Callable[[Any], list[Prompt]]]] = {
    "llava_next": (llava_next, _anyres),
    "llava_onevision": (llava_onevision, _anyres),
    "qwen2_vl": (qwen2_vl, _grids),
    "qwen3_vl": (qwen3_vl, _grids),
    "internvl": (internvl, _fixed((1, 3, 16, 16))),
    "idefics3": (idefics3, _fixed((1, 1, 3, 32, 32))),
    "smolvlm": (smolvlm, _fixed((1, 1, 3, 32, 32))),
    "gemma3": (gemma3, _fixed((1, 3, 16, 16), lambda prompt: (prompt["input_ids"] == IMAGE_ID).long())),
    "paligemma": (paligemma, _fixed((1, 3, 16, 16), lambda prompt: torch.zeros_like(prompt["input_ids"]))),
}


def subject(name: str) -> Subject:
    """Return a family's model with three prompts of different lengths."""
    build, prompts = FAMILIES[name]
    model = build()
    return Subject(model, prompts(model), build)
