"""Comparison of pruned generation with the plain full-length reference: tokens, logits and kept sets."""

from __future__ import annotations

from typing import Any

import torch

import himap
from himap import Pruning, PruningConfig
from tests.himap.plain_reference import Reference
from tests.himap.tiny_models import IMAGE_ID, LAYERS, Prompt, Subject

STEPS = 5
TOLERANCE = 1e-5
CONFIGS = {
    "paper-like": PruningConfig(2, 50, 4, 75),
    "adjacent": PruningConfig(2, 50, 3, 40),
    "edges": PruningConfig(1, 30, LAYERS - 1, 60, "last_token", "instruction"),
    "swapped": PruningConfig(1, 25, 3, 50, "intra_column", "last_token"),
    "fastv": PruningConfig.fastv(k=3),
    "deep only": PruningConfig(1, 0, 4, 50),
    "everything": PruningConfig(2, 40, 4, 100),
    "all at once": PruningConfig(2, 100, 4, 50),
    "dense": PruningConfig.dense(),
}


def generate(model: Any, prompt: Prompt, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return new tokens `(batch, steps)` and their logits `(batch, steps, vocabulary)`, greedy and cached."""
    output = model.generate(
        **prompt, max_new_tokens=STEPS, do_sample=False, output_logits=True, return_dict_in_generate=True, **options
    )
    return output.sequences[:, -STEPS:], torch.stack(output.logits, dim=1)


def image_part(prompt: Prompt, positions: torch.Tensor) -> list[int]:
    """Return the positions that hold an image token."""
    return [i for i in positions.tolist() if i >= 0 and prompt["input_ids"][0, i] == IMAGE_ID]


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCE)


def assert_prompt_equals_reference(
    model: Any, prompt: Prompt, config: PruningConfig, kept: tuple[list[int], ...] = ()
) -> Pruning:
    """Compare one prompt's greedy generation, and return the record; `kept` as in `Reference`."""
    reference = Reference(model, prompt, config, kept)
    ids, logits = reference.generate(STEPS)
    with himap.prune(model, config) as pruning:
        new_ids, new_logits = generate(model, prompt)
    assert new_ids[0].tolist() == ids
    assert_close(new_logits[0], torch.stack(logits))
    if config.cuts:
        assert image_part(prompt, pruning.positions[0]) == reference.kept[config.cuts[-1].layer]
    assert pruning.image_tokens == [len(reference.image)]
    assert pruning.kept == [config.kept(len(reference.image))]
    return pruning


def assert_batch_equals_reference(subject: Subject, config: PruningConfig) -> None:
    """Compare each row of a left-padded batch with the reference of its prompt alone."""
    batch = subject.batch()
    with himap.prune(subject.model, config) as pruning:
        new_ids, new_logits = generate(subject.model, batch)
    for row, prompt in enumerate(subject.prompts):
        reference = Reference(subject.model, prompt, config)
        ids, logits = reference.generate(STEPS)
        gap = batch["input_ids"].shape[1] - prompt["input_ids"].shape[1]
        assert new_ids[row].tolist() == ids
        assert_close(new_logits[row], torch.stack(logits))
        assert image_part(prompt, pruning.positions[row] - gap) == reference.kept[config.k2]
        assert pruning.kept[row] == config.kept(len(reference.image))
