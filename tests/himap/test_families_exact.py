"""Every family: cached generation with dropped tokens equals the plain full-length reference."""

from __future__ import annotations

import pytest
import torch
from plain_reference import Reference
from test_pruning_exact import CONFIGS, STEPS, TOLERANCE, generate, image_part
from tiny_models import Subject

import himap


@pytest.mark.parametrize("name", ["paper-like", "adjacent", "edges", "swapped", "everything"])
def test_one_prompt_equals_the_reference(member: Subject, name: str) -> None:
    config, prompt = CONFIGS[name], member.prompts[0]
    reference = Reference(member.model, prompt, config)
    ids, logits = reference.generate(STEPS)
    with himap.prune(member.model, config) as pruning:
        new, got = generate(member.model, prompt)
    assert image_part(prompt, pruning.positions[0]) == reference.kept[config.k2]
    assert pruning.kept == [config.kept(len(reference.image))]
    assert new[0].tolist() == ids
    torch.testing.assert_close(got[0], torch.stack(logits), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["paper-like", "swapped"])
def test_each_row_of_a_padded_batch_equals_the_reference_alone(member: Subject, name: str) -> None:
    config, batch = CONFIGS[name], member.batch()
    with himap.prune(member.model, config) as pruning:
        new, got = generate(member.model, batch)
    for row, prompt in enumerate(member.prompts):
        reference = Reference(member.model, prompt, config)
        ids, logits = reference.generate(STEPS)
        gap = batch["input_ids"].shape[1] - prompt["input_ids"].shape[1]
        assert image_part(prompt, pruning.positions[row] - gap) == reference.kept[config.k2]
        assert new[row].tolist() == ids
        torch.testing.assert_close(got[row], torch.stack(logits), rtol=0, atol=TOLERANCE)
