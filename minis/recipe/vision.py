"""Stage 2: train a vision tower with its projector on dense labels of what each image token shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from minis.recipe import loop
from minis.recipe.architecture import HIDDEN, LLAVA_SIDE, QWEN_TOKEN, build_model
from minis.recipe.attention import EQUAL_SEGMENTS
from minis.recipe.patches import CLASSES, labels
from minis.recipe.text import build_tokenizer
from objectives.scenes import Scene, make_scene, render

BATCH = 32
MEAN = STD = [0.5, 0.5, 0.5]


def image_processor(name: str) -> Any:
    """Return the transformers image processor with the mini's sizes."""
    if name == "llava-mini":
        side = {"height": LLAVA_SIDE, "width": LLAVA_SIDE}
        return CLIPImageProcessorPil(size=side, do_center_crop=False, image_mean=MEAN, image_std=STD)
    return Qwen2VLImageProcessorPil(
        patch_size=QWEN_TOKEN // 2,
        merge_size=2,
        temporal_patch_size=2,
        image_mean=MEAN,
        image_std=STD,
        size={"shortest_edge": (8 * QWEN_TOKEN) ** 2, "longest_edge": (28 * QWEN_TOKEN) ** 2},
    )


def grid(name: str, scene: Scene) -> tuple[int, int]:
    """Return the image tokens (rows, columns) that the mini makes of a scene."""
    return (12, 12) if name == "llava-mini" else (scene.rows * 3, scene.columns * 3)


class VisionEncoder(nn.Module):
    """Vision tower and projector of a mini: from scenes to image tokens, (tokens, hidden) a scene."""

    def __init__(self, name: str, model: PreTrainedModel) -> None:
        super().__init__()
        self.name = name
        self.processor = image_processor(name)
        inner: Any = model.model
        self.tower: Any = inner.vision_tower if name == "llava-mini" else inner.visual
        self.tower.config._attn_implementation = "eager" if name == "llava-mini" else EQUAL_SEGMENTS
        self.projector: Any = inner.multi_modal_projector if name == "llava-mini" else nn.Identity()

    @property
    def last_linear(self) -> nn.Linear:
        """The layer whose output is the image tokens."""
        last: nn.Linear = self.projector.linear_2 if self.name == "llava-mini" else self.tower.merger.mlp[2]
        return last

    def forward(self, scenes: list[Scene]) -> list[torch.Tensor]:
        pixels = self.processor(images=[render(s) for s in scenes], return_tensors="pt")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            if self.name == "llava-mini":
                patches = self.tower(pixels["pixel_values"]).last_hidden_state[:, 1:]
                return list(self.projector(patches).float())
            tokens = self.tower(pixels["pixel_values"], grid_thw=pixels["image_grid_thw"]).pooler_output
        return list(tokens.float().split([h * w for h, w in (grid(self.name, s) for s in scenes)]))


class Readout(nn.Module):
    """A vision encoder with a linear head for the dense labels; only training uses the head."""

    def __init__(self, encoder: VisionEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(HIDDEN, sum(CLASSES))

    def forward(self, scenes: list[Scene]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and labels of all tokens of all scenes."""
        logits = self.head(torch.cat(self.encoder(scenes)))
        targets = np.concatenate([labels(s, *grid(self.encoder.name, s)) for s in scenes])
        return logits, torch.from_numpy(targets)


def train(name: str, folder: Path, steps: int, seed: int) -> None:
    """Train the vision encoder of mini `name`."""
    torch.manual_seed(seed)
    readout = Readout(VisionEncoder(name, build_model(name, build_tokenizer(name))))

    def loss(step: int) -> torch.Tensor:
        logits, targets = readout(same_grid(20_000_000 + step * 2 * BATCH, BATCH))
        parts = zip(logits.split(CLASSES, dim=1), targets.T, strict=True)
        return torch.stack([functional.cross_entropy(part, label) for part, label in parts]).sum()

    loop.run(loop.Stage(f"vision-{name}", readout, loss, steps), folder)


def same_grid(start: int, count: int) -> list[Scene]:
    """Return `count` training scenes of one size from index `start` on, whose windows batch without padding."""
    first = make_scene("train", start)
    scenes, index = [first], start
    while len(scenes) < count:
        index += 1
        scene = make_scene("train", index)
        if (scene.rows, scene.columns) == (first.rows, first.columns):
            scenes.append(scene)
    return scenes
