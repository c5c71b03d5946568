"""Small random-weight models with prompts that hold a video, and where possible an image, through their true towers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as tf

from tests.himap.tiny_families import _ROPE, _built, _vision, decoder, internvl, llava_onevision, qwen2_vl, qwen3_vl
from tests.himap.tiny_models import IMAGE_ID, Prompt, qwen, words

VIDEO_ID, BEGIN, END = 91, 92, 93
FRAMES, ROWS, COLUMNS = 3, 2, 4
PATCH = 48  # channels times pixels of a patch


def llava_next_video(attention: str = "sdpa") -> Any:
    vision = _vision("clip_vision_model", projection_dim=32)
    config = tf.LlavaNextVideoConfig(
        vision_config=vision,
        text_config=decoder(),
        image_token_index=IMAGE_ID,
        video_token_index=VIDEO_ID,
        image_grid_pinpoints=[[16, 32], [32, 16], [32, 32]],
    )
    return _built(tf.LlavaNextVideoForConditionalGeneration, config, attention)


def glm4v(attention: str = "sdpa") -> Any:
    vision = {"depth": 2, "hidden_size": 32, "num_heads": 2, "image_size": 32, "patch_size": 4, "out_hidden_size": 48}
    config = tf.Glm4vConfig(
        text_config=decoder("glm4v_text", rope_parameters=_ROPE),
        vision_config={**vision, "intermediate_size": 64, "temporal_patch_size": 1, "initializer_range": 0.3},
        image_token_id=IMAGE_ID,
        video_token_id=VIDEO_ID,
        image_start_token_id=BEGIN,
        image_end_token_id=END,
        video_start_token_id=94,
        video_end_token_id=95,
    )
    return _built(tf.Glm4vForConditionalGeneration, config, attention)


def _prompt(ids: list[int], types: bool, **media: torch.Tensor) -> Prompt:
    tokens = torch.tensor([ids])
    prompt = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), **media}
    if types:
        video = (tokens == VIDEO_ID) | ((tokens == IMAGE_ID) & ((tokens == 94).cumsum(1) > (tokens == 95).cumsum(1)))
        prompt["mm_token_type_ids"] = torch.where(video, 2, (tokens == IMAGE_ID).int())
    return prompt


def _video(generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {
        "pixel_values_videos": torch.randn(4 * FRAMES * ROWS * COLUMNS, PATCH, generator=generator),
        "video_grid_thw": torch.tensor([[FRAMES, 2 * ROWS, 2 * COLUMNS]]),
    }


def _stamped(generator: torch.Generator, token: int) -> list[int]:
    """Return the tokens of a video with text in front of each frame."""
    frames = [[*words(generator, 2), BEGIN, *[token] * (ROWS * COLUMNS), END] for _ in range(FRAMES)]
    return [token for frame in frames for token in frame]


def grid_prompt(seed: int, *, timestamps: bool = False) -> Prompt:
    """Return an image of 2 x 2 tokens and a video of 3 frames of 2 x 4 tokens, as Qwen-VL writes them."""
    generator = torch.Generator().manual_seed(seed)
    run = [BEGIN, *[VIDEO_ID] * (FRAMES * ROWS * COLUMNS), END]
    video = _stamped(generator, VIDEO_ID) if timestamps else run
    ids = [*words(generator, 3), BEGIN, *[IMAGE_ID] * 4, END, *words(generator, 2), *video, *words(generator, 5)]
    pixels = torch.randn(16, PATCH, generator=generator)
    image = {"pixel_values": pixels, "image_grid_thw": torch.tensor([[1, 4, 4]])}
    return _prompt(ids, types=True, **image, **_video(generator))


def marked_prompt(seed: int) -> Prompt:
    """Return a video of 3 frames of 2 x 4 image tokens, as GLM-4V writes them."""
    generator = torch.Generator().manual_seed(seed)
    ids = [*words(generator, 3), 94, *_stamped(generator, IMAGE_ID), 95, *words(generator, 5)]
    return _prompt(ids, types=True, **_video(generator))


def clip_prompt(seed: int, tokens: int) -> Prompt:
    """Return a video of 3 frames in one run of `tokens` tokens, as LLaVA-OneVision and LLaVA-NeXT-Video write them."""
    generator = torch.Generator().manual_seed(seed)
    ids = [*words(generator, 4), *[VIDEO_ID] * tokens, *words(generator, 6)]
    pixels = torch.randn(1, FRAMES, 3, 16, 16, generator=generator)
    return _prompt(ids, types=False, pixel_values_videos=pixels)


def frames_prompt(seed: int) -> Prompt:
    """Return a video whose 3 frames are images of 16 tokens with text between them, as InternVL writes them."""
    generator = torch.Generator().manual_seed(seed)
    ids = words(generator, 2)
    for _ in range(FRAMES):
        ids += [*words(generator, 2), *[IMAGE_ID] * 16]
    pixels = torch.randn(FRAMES, 3, 16, 16, generator=generator)
    return _prompt([*ids, *words(generator, 4)], types=False, pixel_values=pixels)


# The model, a prompt by its seed, and the number of tokens in each of its images and frames.
VIDEOS: dict[str, tuple[Callable[..., Any], Callable[[int], Prompt], list[int]]] = {
    "qwen2_vl": (qwen2_vl, grid_prompt, [4, 8, 8, 8]),
    "qwen2_5_vl": (qwen, grid_prompt, [4, 8, 8, 8]),
    "qwen3_vl": (qwen3_vl, lambda seed: grid_prompt(seed, timestamps=True), [4, 8, 8, 8]),
    "glm4v": (glm4v, marked_prompt, [8, 8, 8]),
    "llava_onevision": (llava_onevision, lambda seed: clip_prompt(seed, 13), [4, 4, 4, 1]),
    "llava_next_video": (llava_next_video, lambda seed: clip_prompt(seed, 12), [4, 4, 4]),
    "internvl": (internvl, frames_prompt, [16, 16, 16]),
}
