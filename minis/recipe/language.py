"""Stage 1: train a decoder to answer questions on symbolic images, which need no vision tower.

A symbolic image has one to four tokens for each thing, and some for the background. A token is the sum of the
embeddings of the words that describe what it shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from minis.recipe import loop
from minis.recipe.architecture import NAMES, build_model
from minis.recipe.attention import PACKED
from minis.recipe.packing import PackedBatch, Packer
from minis.recipe.patches import words
from minis.recipe.text import build_tokenizer
from objectives.scenes import Scene, make_scene

BATCH, QUESTIONS = 16, 2
PREFIX, CHUNKS = 64, 5
DESCRIPTION_WEIGHT = 0.5


def answer_loss(
    decoder: Any, batch: PackedBatch, inputs: torch.Tensor, positions: torch.Tensor, description_weight: float = 1.0
) -> torch.Tensor:
    """Return the mean cross-entropy of answer and description tokens; inputs are (batch, length, hidden)."""
    labeled = batch.labels >= 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = decoder(
            inputs_embeds=inputs, attention_mask=batch.mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        logits = hidden[labeled] @ decoder.embed_tokens.weight.T
    losses = functional.cross_entropy(logits.float(), batch.labels[labeled], reduction="none")
    weights = torch.where(batch.described[labeled], description_weight, 1.0)
    return (losses * weights).sum() / weights.sum()


def train(folder: Path, steps: int, seed: int) -> None:
    """Train the decoder that both minis share."""
    torch.manual_seed(seed)
    packers = [Packer(name, build_tokenizer(name)) for name in NAMES]
    decoder = build_model("llava-mini", packers[0].tokenizer).model.language_model
    set_for_packing(decoder)

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng([seed, 1, step])
        packer = packers[step % 2]
        scenes = [make_scene("train", 10_000_000 + step * BATCH + i) for i in range(BATCH)]
        images = [symbols(scene, rng) for scene in scenes]
        packs = [packer.blocks(scene, QUESTIONS, rng) for scene in scenes]
        batch = packer.collate(packs, [len(image) for image in images], PREFIX, CHUNKS)
        embedded = [embed_words(decoder.embed_tokens, packer, tokens) for tokens in images]
        inputs = insert_images(decoder.embed_tokens(batch.ids), embedded, batch)
        return answer_loss(decoder, batch, inputs, flat_positions(batch), DESCRIPTION_WEIGHT)

    loop.run(loop.Stage("language", decoder, loss, steps, muon_lr=2e-3), folder)


def set_for_packing(decoder: Any) -> None:
    """Switch the decoder to packed attention and compile its layers, which share one compilation."""
    decoder.config._attn_implementation = PACKED
    for layer in decoder.layers:
        layer.compile(dynamic=False)


def flat_positions(batch: PackedBatch) -> torch.Tensor:
    """Return the positions (batch, length); each block continues where its own image ends."""
    ends = torch.tensor(batch.image_tokens)[:, None] + batch.before
    positions = ends + batch.offset
    positions[:, : batch.prefix] = torch.arange(batch.prefix)
    return positions


def symbols(scene: Scene, rng: np.random.Generator) -> list[list[str]]:
    """Return a symbolic image of the scene: the words of each token, in raster order of the things."""
    owner: list[int] = []
    center: list[bool] = []
    for number in range(len(scene.things)):
        owner += [-1] * rng.integers(0, 2) + [number] * (copies := int(rng.integers(1, 5)))
        center += [False] * (len(owner) - len(center) - copies)
        center += [i == copies // 2 for i in range(copies)]
    return words(scene, np.array(owner), np.array(center))


def embed_words(table: nn.Embedding, packer: Packer, tokens: list[list[str]]) -> torch.Tensor:
    """Return (tokens, hidden): for each token the sum of the embeddings of its words."""
    look_up: Any = packer.tokenizer.convert_tokens_to_ids
    ids: list[list[int]] = [look_up(words) for words in tokens]
    flat = torch.tensor([i for token in ids for i in token])
    starts = torch.tensor([0, *np.cumsum([len(token) for token in ids])[:-1]])
    return functional.embedding_bag(flat, table.weight, starts, mode="sum")


def insert_images(inputs: torch.Tensor, images: list[torch.Tensor], batch: PackedBatch) -> torch.Tensor:
    """Return `inputs` (batch, length, hidden) with each image's tokens (tokens, hidden) inserted after the start."""
    inputs = inputs.clone()
    for row, image in enumerate(images):
        inputs[row, batch.before : batch.before + len(image)] = image
    return inputs
