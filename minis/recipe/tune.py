"""Stage 3: train the decoder of stage 1 behind the vision encoder of stage 2, on rendered scenes."""

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
from minis.recipe.packing import PackedBatch, Packer
from minis.recipe.patches import owners, words
from minis.recipe.text import build_tokenizer
from minis.recipe.vision import Readout, VisionEncoder, grid, same_grid
from objectives.scenes import Scene

BATCH, CHUNKS, LARGEST_IMAGE = 16, 6, {"llava-mini": 144, "qwenvl-mini": 180}
_FIT_SCENES = 320

Targets = Callable[[list[Scene]], list[torch.Tensor]]  # (tokens, hidden) for each scene


def assemble(name: str, folder: Path, seed: int) -> PreTrainedModel:
    """Return the model from the checkpoints of earlier stages, its vision encoder fitted to its decoder.

    qwenvl-mini takes the decoder of stage 1, llava-mini the decoder that qwenvl-mini ended with.
    """
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(name)
    model = build_model(name, tokenizer)
    encoder = VisionEncoder(name, model)
    Readout(encoder).load_state_dict(_weights(folder, f"vision-{name}"))
    decoder: Any = model.model.language_model
    if name == "llava-mini":
        first = build_model("qwenvl-mini", build_tokenizer("qwenvl-mini"))
        first.load_state_dict(_weights(folder, "tune-qwenvl-mini"))
        weights = first.model.language_model.state_dict()
        targets = encoder_targets(VisionEncoder("qwenvl-mini", first))
    else:
        weights, targets = _weights(folder, "language"), word_targets(name, decoder.embed_tokens)
    absent = decoder.load_state_dict(weights, strict=False).missing_keys
    for key in absent:  # Qwen's query, key and value projections have biases, Llama's have none
        nn.init.zeros_(decoder.get_parameter(key))
    fit_encoder(encoder, targets)
    return model


def _weights(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    module: dict[str, torch.Tensor] = torch.load(folder / f"{stage}.pt", weights_only=True)["module"]
    return module


def word_targets(name: str, table: nn.Embedding) -> Targets:
    """Return the image tokens of stage 1 as targets: the sums of the embeddings of their words."""
    packer = Packer(name, build_tokenizer(name))

    def targets(scenes: list[Scene]) -> list[torch.Tensor]:
        images = [words(scene, *owners(scene, *grid(name, scene))) for scene in scenes]
        return [embed_words(table, packer, tokens) for tokens in images]

    return targets


def encoder_targets(other: VisionEncoder) -> Targets:
    """Return targets of llava-mini's image tokens: each the mean of the other encoder's tokens of the same thing."""

    def targets(scenes: list[Scene]) -> list[torch.Tensor]:
        return [_matched(scene, tokens, other.name) for scene, tokens in zip(scenes, other(scenes), strict=True)]

    return targets


def _matched(scene: Scene, tokens: torch.Tensor, name: str) -> torch.Tensor:
    owner, center = (torch.from_numpy(x) for x in owners(scene, *grid(name, scene)))
    rows = []
    for thing, at_center in zip(*owners(scene, *grid("llava-mini", scene)), strict=True):
        of_thing = owner == int(thing)
        same = of_thing & (center == bool(at_center))
        rows.append(tokens[same if same.any() else of_thing].mean(0))
    return torch.stack(rows)


@torch.no_grad()
def fit_encoder(encoder: VisionEncoder, targets: Targets) -> None:
    """Fit the encoder's tokens to the targets by ridge regression, folded into its last linear layer."""
    scenes = same_grid(30_000_000, _FIT_SCENES)
    parts = [scenes[i : i + 32] for i in range(0, len(scenes), 32)]
    x = torch.cat([tokens for part in parts for tokens in encoder(part)]).double()
    y = torch.cat([tokens for part in parts for tokens in targets(part)]).double()
    centered = x - x.mean(0)
    gram = centered.T @ centered + 1e-3 * len(x) * torch.eye(x.shape[1]) * centered.var()
    matrix = torch.linalg.solve(gram, centered.T @ (y - y.mean(0))).T
    layer = encoder.last_linear
    bias = matrix @ (layer.bias.double() - x.mean(0)) + y.mean(0)
    layer.weight.copy_(matrix @ layer.weight.double())
    layer.bias.copy_(bias)


def train(name: str, folder: Path, steps: int, seed: int) -> PreTrainedModel:
    """Train the decoder behind the frozen vision encoder; return the model."""
    model = assemble(name, folder, seed)
    packer = Packer(name, build_tokenizer(name))
    encoder, decoder = VisionEncoder(name, model), model.model.language_model
    model.requires_grad_(False)
    decoder.requires_grad_(True)
    set_for_packing(decoder)
    prefix = len(packer.before) + LARGEST_IMAGE[name]

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng([seed, 3, step])
        scenes = same_grid(40_000_000 + step * 8 * BATCH, BATCH)
        packs = [packer.blocks(scene, QUESTIONS, rng) for scene in scenes]
        with torch.no_grad():
            images = encoder(scenes)
        batch = packer.collate(packs, [len(image) for image in images], prefix, CHUNKS)
        inputs = insert_images(decoder.embed_tokens(batch.ids), images, batch)
        return answer_loss(decoder, batch, inputs, positions(name, batch, scenes), DESCRIPTION_WEIGHT)

    loop.run(loop.Stage(f"tune-{name}", model, loss, steps, muon_lr=4e-3, adam_lr=2e-3), folder)
    return model


def positions(name: str, batch: PackedBatch, scenes: list[Scene]) -> torch.Tensor:
    """Return the positions that generate() gives the decoder: (batch, length), for Qwen (3, batch, length)."""
    if name == "llava-mini":
        return flat_positions(batch)
    height, width = grid(name, scenes[0])
    rows, columns = np.divmod(np.arange(height * width), width)
    image = torch.from_numpy(np.stack([0 * rows, rows, columns])) + batch.before
    placed = (batch.before + max(height, width) + batch.offset).expand(3, -1, -1).clone()
    placed[:, :, : batch.before] = torch.arange(batch.before)
    placed[:, :, batch.before : batch.before + height * width] = image[:, None]
    return placed
