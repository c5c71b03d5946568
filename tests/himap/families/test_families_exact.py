"""Every family: cached generation with dropped tokens equals the plain full-length reference."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import himap
from himap import PruningConfig
from tests.himap import tiny_families, tiny_models
from tests.himap.engine.test_pruning_exact import CONFIGS, STEPS, TOLERANCE, generate, image_part
from tests.himap.plain_reference import Reference
from tests.himap.tiny_models import Prompt, Subject


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


def test_several_tokens_at_once_after_a_cached_prompt(member: Subject) -> None:
    """A second turn without a new image: the chunk needs a mask over the shorter, perhaps windowed caches."""
    config, prompt, turn = CONFIGS["paper-like"], member.prompts[0], [5, 17, 33]
    reference = Reference(member.model, prompt, config)
    reference.logits([])
    with himap.prune(member.model, config), torch.no_grad():
        cache = member.model(**prompt, use_cache=True).past_key_values
        got = member.model(input_ids=torch.tensor([turn]), past_key_values=cache).logits[0]
    torch.testing.assert_close(got, reference.logits(turn)[-3:], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_of_a_padded_forward_stand_for_the_kept_positions(member: Subject, side: str) -> None:
    config, batch = CONFIGS["adjacent"], member.batch(side)
    with himap.prune(member.model, config) as pruning, torch.no_grad():
        logits = member.model(**batch).logits
    for row, prompt in enumerate(member.prompts):
        length = prompt["input_ids"].shape[1]
        gap = batch["input_ids"].shape[1] - length if side == "left" else 0
        there = pruning.positions[row] >= 0
        kept = pruning.positions[row][there] - gap
        expected = Reference(member.model, prompt, config).logits([])[kept]
        torch.testing.assert_close(logits[row][there], expected, rtol=0, atol=TOLERANCE)
        assert kept[-1] == length - 1


def joined(first: Prompt, second: Prompt) -> Prompt:
    """Two prompts as two turns of one conversation, each with its image."""
    along = {"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids"}
    return {
        key: torch.cat([first[key], second[key]], dim=1 if key in along or first[key].ndim == 5 else 0) for key in first
    }


@pytest.mark.parametrize("name", ["paper-like", "edges", "swapped"])
def test_two_turns_with_an_image_each_equal_the_reference(member: Subject, name: str) -> None:
    """All images of a prompt are ranked together; the instruction is what follows the last."""
    config, prompt = CONFIGS[name], joined(*member.prompts[:2])
    if "image_sizes" in prompt:
        prompt["pixel_values"] = torch.cat([each["pixel_values"] for each in member.prompts[:2]])
    reference = Reference(member.model, prompt, config)
    ids, logits = reference.generate(STEPS)
    with himap.prune(member.model, config) as pruning:
        new, got = generate(member.model, prompt)
    assert pruning.image_tokens == [int((prompt["input_ids"] == tiny_models.IMAGE_ID).sum())]
    assert image_part(prompt, pruning.positions[0]) == reference.kept[config.k2]
    assert new[0].tolist() == ids
    torch.testing.assert_close(got[0], torch.stack(logits), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["paper-like", "edges", "swapped"])
@pytest.mark.parametrize(("before", "after"), [(0, 7), (5, 1)])
def test_the_image_may_stand_anywhere(llava: Subject, name: str, before: int, after: int) -> None:
    config, prompt = CONFIGS[name], tiny_models.llava_prompt(4, before, after)
    reference = Reference(llava.model, prompt, config)
    ids, logits = reference.generate(STEPS)
    with himap.prune(llava.model, config) as pruning:
        new, got = generate(llava.model, prompt)
    assert image_part(prompt, pruning.positions[0]) == reference.kept[config.k2]
    assert new[0].tolist() == ids
    torch.testing.assert_close(got[0], torch.stack(logits), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "text",
    [
        {"model_type": "mistral", "sliding_window": tiny_families.WINDOW},
        {
            "model_type": "qwen2",
            "use_sliding_window": True,
            "sliding_window": tiny_families.WINDOW,
            "max_window_layers": 3,
        },
        {"model_type": "qwen3", "head_dim": 12},
        {"model_type": "gemma"},
    ],
    ids=lambda text: text["model_type"],
)
def test_llava_with_other_decoders(llava: Subject, text: dict[str, object]) -> None:
    config, model = CONFIGS["paper-like"], tiny_families.llava_with(tiny_families.decoder(**text))
    subject = Subject(model, llava.prompts, llava.build)
    with himap.prune(model, config) as pruning:
        new, got = generate(model, subject.batch())
    width = subject.batch()["input_ids"].shape[1]
    for row, prompt in enumerate(subject.prompts):
        reference = Reference(model, prompt, config)
        ids, logits = reference.generate(STEPS)
        gap = width - prompt["input_ids"].shape[1]
        assert image_part(prompt, pruning.positions[row] - gap) == reference.kept[config.k2]
        assert new[row].tolist() == ids
        torch.testing.assert_close(got[row], torch.stack(logits), rtol=0, atol=TOLERANCE)


def test_sampled_sequences_equal_the_reference_step_by_step(member: Subject) -> None:
    config, prompt = CONFIGS["paper-like"], member.prompts[1]
    torch.manual_seed(5)
    with himap.prune(member.model, config):
        output = member.model.generate(
            **prompt,
            max_new_tokens=4,
            do_sample=True,
            top_k=0,
            num_return_sequences=2,
            output_logits=True,
            return_dict_in_generate=True,
        )
    logits = torch.stack(output.logits, dim=1)
    reference = Reference(member.model, prompt, config)
    for row, new in enumerate(output.sequences[:, -4:].tolist()):
        for step in range(4):
            expected = reference.logits(new[:step])[-1]
            torch.testing.assert_close(logits[row, step], expected, rtol=0, atol=TOLERANCE)


def test_bfloat16_runs_and_keeps_the_counts(member: Subject) -> None:
    config, model = CONFIGS["paper-like"], member.build().to(torch.bfloat16)
    with himap.prune(model, config) as pruning:
        _, logits = generate(model, member.batch())
    assert logits.isfinite().all()
    assert pruning.kept == [config.kept(n) for n in pruning.image_tokens]


@pytest.mark.parametrize("k1", [1, 2, 3])
def test_deepstack_reaches_behind_a_cut(families: Callable[[str], Subject], k1: int) -> None:
    """Qwen3-VL adds image features behind layers 0, 1 and 2: to what is left of the image by then."""
    subject = families("qwen3_vl")
    config, prompt = PruningConfig(k1, 50, 4, 50), subject.prompts[0]
    ids, logits = Reference(subject.model, prompt, config).generate(STEPS)
    with himap.prune(subject.model, config):
        new, got = generate(subject.model, prompt)
    assert new[0].tolist() == ids
    torch.testing.assert_close(got[0], torch.stack(logits), rtol=0, atol=TOLERANCE)
