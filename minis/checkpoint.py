"""The checkpoint folder of a mini, which plain `from_pretrained` reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from minis.recipe.architecture import LLAVA_PATCH, QWEN_TOKEN, special_ids
from minis.recipe.vision import MEAN, STD, image_processor
from objectives.evaluation.known_models import MINIS


def path(name: str) -> Path:
    """Return the folder of the shipped mini `name`."""
    return MINIS / name


def save(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save the model in float16, with its tokenizer, chat template and processor configuration."""
    model.generation_config = GenerationConfig(do_sample=False, **special_ids(tokenizer))
    for part in (model.config, model.config.text_config, model.config.vision_config):
        part._attn_implementation = "sdpa"
    model.half().save_pretrained(folder)
    model.float()
    tokenizer.save_pretrained(folder)
    image_processor(name).save_pretrained(folder)
    for file, settings in _processor_files(name).items():
        (folder / file).write_text(json.dumps(settings, indent=2) + "\n")


def _processor_files(name: str) -> dict[str, dict[str, Any]]:
    if name == "llava-mini":
        settings = {
            "processor_class": "LlavaProcessor",
            "image_token": "<image>",
            "patch_size": LLAVA_PATCH,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default",
        }
        return {"processor_config.json": settings}
    patches = {"patch_size": QWEN_TOKEN // 2, "merge_size": 2, "temporal_patch_size": 2}
    video = {"video_processor_type": "Qwen2VLVideoProcessor", **patches, "image_mean": MEAN, "image_std": STD}
    return {
        "processor_config.json": {"processor_class": "Qwen2_5_VLProcessor"},
        "video_preprocessor_config.json": video,
    }
