"""Stage 3: the decoder of stage 1 learns to see through the eyes of stage 2, on rendered scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from minis import loop
from minis.architecture import build_model
from minis.language import (
    DESCRIPTION_WEIGHT,
    QUESTIONS,
    answer_loss,
    embed_words,
    flat_positions,
    insert_images,
    set_for_packing,
)
from minis.packing import Batch, Packer
from minis.patches import halves, owners, words
from minis.text import build_tokenizer
from minis.vision import Eyes, Readout, grid, same_grid
from objectives.scenes import Scene

BATCH, CHUNKS, LARGEST_IMAGE = 16, 5, {"llava-mini": 144, "qwenvl-mini": 180}
_FIT_SCENES = 320


def assemble(name: str, folder: Path, seed: int) -> PreTrainedModel:
    """The whole model from the checkpoints of stages 1 and 2, the eyes fitted to the decoder's words."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(name)
    model = build_model(name, tokenizer)
    eyes = Eyes(name, model)
    readout = Readout(eyes)
    readout.load_state_dict(torch.load(folder / f"vision-{name}.pt", weights_only=True)["module"])
    decoder = model.model.language_model
    learned = torch.load(folder / "language.pt", weights_only=True)["module"]
    absent = decoder.load_state_dict(learned, strict=False).missing_keys
    for key in absent:  # Qwen's query, key and value projections have biases that Llama's have not
        nn.init.zeros_(decoder.get_parameter(key))
    fit_eyes(eyes, Packer(name, tokenizer), decoder.embed_tokens)
    return model


def shown(name: str, scene: Scene) -> list[list[str]]:
    """The words for what every image token of a rendered scene tells."""
    height, width = grid(name, scene)
    owner, center = owners(scene, height, width)
    return words(scene, owner, center, halves(owner, center, width))


@torch.no_grad()
def fit_eyes(eyes: Eyes, packer: Packer, table: nn.Embedding) -> None:
    """Ridge regression from what the eyes give to the sum of the words for what is there, folded into their
    last linear layer: the decoder then sees what it saw in stage 1."""
    scenes = same_grid(30_000_000, _FIT_SCENES)
    seen = torch.cat([torch.cat(eyes(scenes[i : i + 32])) for i in range(0, len(scenes), 32)]).double()
    wanted = torch.cat([embed_words(table, packer, shown(eyes.name, scene)) for scene in scenes]).double()
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
