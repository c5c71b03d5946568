"""Stage 3: the decoder of stage 1 learns to see through the eyes of stage 2, on rendered scenes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from minis.recipe import loop
from minis.recipe.architecture import build_model
from minis.recipe.language import (
    DESCRIPTION_WEIGHT,
    QUESTIONS,
    answer_loss,
    embed_words,
    flat_positions,
    insert_images,
    set_for_packing,
)
from minis.recipe.packing import Batch, Packer
from minis.recipe.patches import owners, words
from minis.recipe.text import build_tokenizer
from minis.recipe.vision import Eyes, Readout, grid, same_grid
from objectives.scenes import Scene

BATCH, CHUNKS, LARGEST_IMAGE = 16, 6, {"llava-mini": 144, "qwenvl-mini": 180}
_FIT_SCENES = 320


def assemble(name: str, folder: Path, seed: int) -> PreTrainedModel:
    """The whole model from checkpoints: qwenvl-mini from the decoder of stage 1, llava-mini from the decoder
    that qwenvl-mini ended with; the eyes of stage 2 are fitted to how that decoder knows things."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(name)
    model = build_model(name, tokenizer)
    eyes = Eyes(name, model)
    Readout(eyes).load_state_dict(_learned(folder, f"vision-{name}"))
    decoder: Any = model.model.language_model
    if name == "llava-mini":
        first = build_model("qwenvl-mini", build_tokenizer("qwenvl-mini"))
        first.load_state_dict(_learned(folder, "tune-qwenvl-mini"))
        learned, told = first.model.language_model.state_dict(), as_seen_by(Eyes("qwenvl-mini", first))
    else:
        learned, told = _learned(folder, "language"), in_words(name, decoder.embed_tokens)
    absent = decoder.load_state_dict(learned, strict=False).missing_keys
    for key in absent:  # Qwen's query, key and value projections have biases that Llama's have not
        nn.init.zeros_(decoder.get_parameter(key))
    fit_eyes(eyes, told)
    return model


def _learned(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    module: dict[str, torch.Tensor] = torch.load(folder / f"{stage}.pt", weights_only=True)["module"]
    return module


def in_words(name: str, table: nn.Embedding) -> Callable[[list[Scene]], list[torch.Tensor]]:
    """Image tokens (tokens, hidden) as stage 1 gave them: the sums of the words for what they show."""
    packer = Packer(name, build_tokenizer(name))

    def told(scenes: list[Scene]) -> list[torch.Tensor]:
        shown = [words(scene, *owners(scene, *grid(name, scene))) for scene in scenes]
        return [embed_words(table, packer, tokens) for tokens in shown]

    return told


def as_seen_by(other: Eyes) -> Callable[[list[Scene]], list[torch.Tensor]]:
    """llava-mini's image tokens (tokens, hidden), each the mean of the `other` eyes' of the same thing."""

    def told(scenes: list[Scene]) -> list[torch.Tensor]:
        return [_matched(scene, seen, other.name) for scene, seen in zip(scenes, other(scenes), strict=True)]

    return told


def _matched(scene: Scene, seen: torch.Tensor, name: str) -> torch.Tensor:
    owner, center = (torch.from_numpy(x) for x in owners(scene, *grid(name, scene)))
    rows = []
    for thing, at_center in zip(*owners(scene, *grid("llava-mini", scene)), strict=True):
        of_thing = owner == int(thing)
        same = of_thing & (center == bool(at_center))
        rows.append(seen[same if same.any() else of_thing].mean(0))
    return torch.stack(rows)


@torch.no_grad()
def fit_eyes(eyes: Eyes, told: Callable[[list[Scene]], list[torch.Tensor]]) -> None:
    """Ridge regression from what the eyes give to what the decoder is to be `told`, folded into their last
    linear layer."""
    scenes = same_grid(30_000_000, _FIT_SCENES)
    parts = [scenes[i : i + 32] for i in range(0, len(scenes), 32)]
    seen = torch.cat([token for part in parts for token in eyes(part)]).double()
    wanted = torch.cat([token for part in parts for token in told(part)]).double()
    mean, target = seen.mean(0), wanted.mean(0)
    centered = seen - mean
    gram = centered.T @ centered + 1e-3 * len(seen) * torch.eye(seen.shape[1]) * centered.var()
    matrix = torch.linalg.solve(gram, centered.T @ (wanted - target)).T
    layer = eyes.last_linear
    bias = matrix @ (layer.bias.double() - mean) + target
    layer.weight.copy_(matrix @ layer.weight.double())
    layer.bias.copy_(bias)


def train(name: str, folder: Path, steps: int, seed: int) -> PreTrainedModel:
    """Trains the decoder, the eyes frozen; returns the model."""
    model = assemble(name, folder, seed)
    packer = Packer(name, build_tokenizer(name))
    eyes, decoder = Eyes(name, model), model.model.language_model
    model.requires_grad_(False)
    decoder.requires_grad_(True)
    set_for_packing(decoder)
    prefix = len(packer.before) + LARGEST_IMAGE[name]

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng([seed, 3, step])
        scenes = same_grid(40_000_000 + step * 8 * BATCH, BATCH)
        packs = [packer.blocks(scene, QUESTIONS, rng) for scene in scenes]
        with torch.no_grad():
            images = eyes(scenes)
        batch = packer.collate(packs, [len(image) for image in images], prefix, CHUNKS)
        inputs = insert_images(decoder.embed_tokens(batch.ids), images, batch)
        return answer_loss(decoder, batch, inputs, positions(name, batch, scenes), DESCRIPTION_WEIGHT)

    loop.run(loop.Stage(f"tune-{name}", model, loss, steps, muon_lr=4e-3, adam_lr=2e-3), folder)
    return model


def positions(name: str, batch: Batch, scenes: list[Scene]) -> torch.Tensor:
    """What generate() gives the decoder: (batch, length), for Qwen (3, batch, length) by M-RoPE."""
    if name == "llava-mini":
        return flat_positions(batch)
    height, width = grid(name, scenes[0])
    rows, columns = np.divmod(np.arange(height * width), width)
    image = torch.from_numpy(np.stack([0 * rows, rows, columns])) + batch.before
    placed = (batch.before + max(height, width) + batch.offset).expand(3, -1, -1).clone()
    placed[:, :, : batch.before] = torch.arange(batch.before)
    placed[:, :, batch.before : batch.before + height * width] = image[:, None]
    return placed
