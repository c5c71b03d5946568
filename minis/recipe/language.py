"""Stage 1: a decoder learns the questions on symbolic images, where it is cheap.

A symbolic image has a token for each thing (one to four times) and some of background; a token is the sum of
the embeddings of the words for what it shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from minis.recipe import loop
from minis.recipe.architecture import build_model
from minis.recipe.attention import PACKED
from minis.recipe.packing import Batch, Packer
from minis.recipe.patches import words
from minis.recipe.text import build_tokenizer
from objectives.scenes import Scene, make_scene

BATCH, QUESTIONS = 16, 2
PREFIX, CHUNKS = 64, 5
DESCRIPTION_WEIGHT = 0.5


def answer_loss(
    decoder: Any, batch: Batch, inputs: torch.Tensor, positions: torch.Tensor, description_weight: float = 1.0
) -> torch.Tensor:
    """Cross-entropy of answers and descriptions, per token; inputs (batch, length, hidden)."""
    chosen = batch.labels >= 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = decoder(
            inputs_embeds=inputs, attention_mask=batch.mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        logits = hidden[chosen] @ decoder.embed_tokens.weight.T
    losses = functional.cross_entropy(logits.float(), batch.labels[chosen], reduction="none")
    weights = torch.where(batch.described[chosen], description_weight, 1.0)
    return (losses * weights).sum() / weights.sum()


def train(folder: Path, steps: int, seed: int) -> Path:
    """Trains the shared decoder; returns the checkpoint's path."""
    torch.manual_seed(seed)
    packers = []
    for name in ("llava-mini", "qwenvl-mini"):
        packers.append(Packer(name, build_tokenizer(name)))
    decoder = build_model("llava-mini", packers[0].tokenizer).model.language_model
    set_for_packing(decoder)

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng([seed, 1, step])
        packer = packers[step % 2]
        scenes = [make_scene("train", 10_000_000 + step * BATCH + i) for i in range(BATCH)]
        symbols = [_symbols(scene, rng) for scene in scenes]
        packs = [packer.blocks(scene, QUESTIONS, rng) for scene in scenes]
        batch = packer.collate(packs, [len(s) for s in symbols], PREFIX, CHUNKS)
        images = [embed_words(decoder.embed_tokens, packer, tokens) for tokens in symbols]
        inputs = insert_images(decoder.embed_tokens(batch.ids), images, batch)
        return answer_loss(decoder, batch, inputs, flat_positions(batch), DESCRIPTION_WEIGHT)

    loop.run(loop.Stage("language", decoder, loss, steps, muon_lr=2e-3), folder)
    return folder / "language.pt"


def set_for_packing(decoder: Any) -> None:
    """Packed attention, and each layer compiled (all layers share one compilation)."""
    decoder.config._attn_implementation = PACKED
    for layer in decoder.layers:
        layer.compile(dynamic=False)


def flat_positions(batch: Batch) -> torch.Tensor:
    """(batch, length): a block goes on where its own prefix ends."""
    ends = torch.tensor(batch.image_tokens)[:, None] + batch.before
    positions = ends + batch.offset
    positions[:, : batch.prefix] = torch.arange(batch.prefix)
    return positions


def _symbols(scene: Scene, rng: np.random.Generator) -> list[list[str]]:
    owner: list[int] = []
    center: list[bool] = []
    for number in range(len(scene.things)):
        owner += [-1] * rng.integers(0, 2) + [number] * (copies := int(rng.integers(1, 5)))
        center += [False] * (len(owner) - len(center) - copies)
        center += [i == copies // 2 for i in range(copies)]
    return words(scene, np.array(owner), np.array(center))


def embed_words(table: nn.Embedding, packer: Packer, tokens: list[list[str]]) -> torch.Tensor:
    """(tokens, hidden): for each token the sum of the embeddings of its words."""
    look_up: Any = packer.tokenizer.convert_tokens_to_ids
    ids: list[list[int]] = [look_up(words) for words in tokens]
    flat = torch.tensor([i for token in ids for i in token])
    starts = torch.tensor([0, *np.cumsum([len(token) for token in ids])[:-1]])
    return functional.embedding_bag(flat, table.weight, starts, mode="sum")


def insert_images(inputs: torch.Tensor, images: list[torch.Tensor], batch: Batch) -> torch.Tensor:
    """`inputs` (batch, length, hidden) with each image's tokens (tokens, hidden) in their places."""
    inputs = inputs.clone()
    for row, image in enumerate(images):
        inputs[row, batch.before : batch.before + len(image)] = image
    return inputs
