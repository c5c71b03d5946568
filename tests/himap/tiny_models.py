"""Small random-weight models of each family, and prompts for them, built from configurations alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

PAD_ID, IMAGE_ID, VOCABULARY = 0, 90, 96
LAYERS = 6
LLAVA_IMAGE_TOKENS = 16

Prompt = dict[str, Tensor]


@dataclass(frozen=True)
class Subject:
    """A model, three prompts of different lengths, and the function that builds the model."""

    model: Any
    prompts: list[Prompt]
    build: Callable[[], Any]

    @property
    def decoder(self) -> Any:
        backbone = self.model.model
        return getattr(backbone, "language_model", None) or backbone.text_model

    def batch(self, side: str = "left") -> Prompt:
        return padded_batch(self.prompts, side)


def sharpened(model: Any) -> Any:
    """Return a model with larger attention weights, so that a small error cannot reorder a ranking."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "q_proj.weight" in name or "k_proj.weight" in name:
                weight.mul_(3.0)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = PAD_ID
    return model.eval()


def llava(attention: str = "sdpa") -> Any:
    torch.manual_seed(0)
    text = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.08,
        pad_token_id=PAD_ID,
    )
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=4,
        projection_dim=32,
        initializer_range=0.3,
    )
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=IMAGE_ID, image_seq_length=LLAVA_IMAGE_TOKENS
    )
    config._attn_implementation = attention
    return sharpened(LlavaForConditionalGeneration(config))


def qwen(attention: str = "sdpa") -> Any:
    torch.manual_seed(1)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": VOCABULARY,
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2]},
            "initializer_range": 0.08,
            "pad_token_id": PAD_ID,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 1,
            "window_size": 16,
            "out_hidden_size": 48,
            "fullatt_block_indexes": [1],
            "initializer_range": 0.3,
        },
        image_token_id=IMAGE_ID,
        video_token_id=91,
        vision_start_token_id=92,
        vision_end_token_id=93,
    )
    config._attn_implementation = attention
    return sharpened(Qwen2_5_VLForConditionalGeneration(config))


def words(generator: torch.Generator, length: int) -> list[int]:
    ids: list[int] = torch.randint(3, 80, (length,), generator=generator).tolist()
    return ids


def llava_prompt(seed: int, before: int = 4, after: int = 6) -> dict[str, Tensor]:
    """Return one row of `before` text tokens, an image, and `after` text tokens."""
    generator = torch.Generator().manual_seed(seed)
    ids = words(generator, before) + [IMAGE_ID] * LLAVA_IMAGE_TOKENS + words(generator, after)
    return {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "pixel_values": torch.randn(1, 3, 16, 16, generator=generator),
    }


def qwen_prompt(seed: int, before: int = 4, after: int = 6, grid: tuple[int, int] = (4, 6)) -> dict[str, Tensor]:
    """Return one row; `grid` is the height and width of the image in tokens."""
    generator = torch.Generator().manual_seed(seed)
    height, width = grid
    ids = [*words(generator, before), 92, *[IMAGE_ID] * (height * width), 93, *words(generator, after)]
    return {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "mm_token_type_ids": (torch.tensor([ids]) == IMAGE_ID).int(),
        "pixel_values": torch.randn(4 * height * width, 48, generator=generator),
        "image_grid_thw": torch.tensor([[1, 2 * height, 2 * width]]),
    }


def padded_batch(prompts: list[dict[str, Tensor]], side: str = "left") -> dict[str, Tensor]:
    """Return rows of different lengths as one batch."""
    width = max(prompt["input_ids"].shape[1] for prompt in prompts)
    batch: dict[str, list[Tensor]] = {}
    for prompt in prompts:
        for key, value in prompt.items():
            if key in ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids"):
                gap = width - value.shape[1]
                value = torch.nn.functional.pad(value, (gap, 0) if side == "left" else (0, gap))
            batch.setdefault(key, []).append(value)
    return {key: torch.cat(values) for key, values in batch.items()}
