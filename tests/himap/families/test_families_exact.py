"""Every family: cached generation with dropped tokens equals the plain full-length reference."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import himap
from himap import PruningConfig
from tests.himap import tiny_families, tiny_models
from tests.himap.exactness import (
    CONFIGS,
    assert_batch_equals_reference,
    assert_close,
    assert_prompt_equals_reference,
    generate,
)
from tests.himap.plain_reference import Reference
from tests.himap.tiny_models import Prompt, Subject


@pytest.mark.parametrize("name", ["paper-like", "adjacent", "edges", "swapped", "everything"])
def test_one_prompt_equals_the_reference(family_subject: Subject, name: str) -> None:
    assert_prompt_equals_reference(family_subject.model, family_subject.prompts[0], CONFIGS[name])


@pytest.mark.parametrize("name", ["paper-like", "swapped"])
def test_each_row_of_a_padded_batch_equals_the_reference_alone(family_subject: Subject, name: str) -> None:
    assert_batch_equals_reference(family_subject, CONFIGS[name])


def test_several_tokens_at_once_after_a_cached_prompt(family_subject: Subject) -> None:
    """A turn of text, as also speculative decoding passes it, needs a mask over the shorter or windowed caches."""
    config, prompt, turn = CONFIGS["paper-like"], family_subject.prompts[0], [5, 17, 33]
    reference = Reference(family_subject.model, prompt, config)
    reference.logits([])
    with himap.prune(family_subject.model, config), torch.no_grad():
        cache = family_subject.model(**prompt, use_cache=True).past_key_values
        logits = family_subject.model(input_ids=torch.tensor([turn]), past_key_values=cache).logits[0]
    assert_close(logits, reference.logits(turn)[-3:])


@pytest.mark.parametrize("name", ["paper-like", "adjacent"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_of_a_padded_forward_belong_to_the_kept_positions(family_subject: Subject, side: str, name: str) -> None:
    config, batch = CONFIGS[name], family_subject.batch(side)
    with himap.prune(family_subject.model, config) as pruning, torch.no_grad():
        logits = family_subject.model(**batch).logits
    assert logits.shape[1] == pruning.positions.shape[1] < batch["input_ids"].shape[1]
    for row, prompt in enumerate(family_subject.prompts):
        length = prompt["input_ids"].shape[1]
        gap = batch["input_ids"].shape[1] - length if side == "left" else 0
        present = pruning.positions[row] >= 0
        kept = pruning.positions[row][present] - gap
        expected = Reference(family_subject.model, prompt, config).logits([])[kept]
        assert_close(logits[row][present], expected)
        assert present[-1] and kept[-1] == length - 1


def joined(first: Prompt, second: Prompt) -> Prompt:
    """Return two prompts as two turns of one conversation, each with its image."""
    per_token = {"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids"}
    return {
        key: torch.cat([first[key], second[key]], dim=1 if key in per_token or first[key].ndim == 5 else 0)
        for key in first
    }


@pytest.mark.parametrize("name", ["paper-like", "edges", "swapped"])
def test_two_turns_with_an_image_each_equal_the_reference(family_subject: Subject, name: str) -> None:
    """All images of a prompt are ranked together; the instruction is the text after the last image."""
    prompts = family_subject.prompts[:2]
    prompt = joined(*prompts)
    if "image_sizes" in prompt:
        prompt["pixel_values"] = torch.cat([turn["pixel_values"] for turn in prompts])
    assert_prompt_equals_reference(family_subject.model, prompt, CONFIGS[name])


@pytest.mark.parametrize("name", ["paper-like", "edges", "swapped"])
@pytest.mark.parametrize(("before", "after"), [(0, 7), (5, 1)])
def test_the_image_may_be_anywhere(llava: Subject, name: str, before: int, after: int) -> None:
    assert_prompt_equals_reference(llava.model, tiny_models.llava_prompt(4, before, after), CONFIGS[name])


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
    model = tiny_families.llava_with(tiny_families.decoder(**text))
    assert_batch_equals_reference(Subject(model, llava.prompts, llava.build), CONFIGS["paper-like"])


def test_sampled_sequences_equal_the_reference_step_by_step(family_subject: Subject) -> None:
    config, prompt = CONFIGS["paper-like"], family_subject.prompts[1]
    torch.manual_seed(5)
    with himap.prune(family_subject.model, config):
        output = family_subject.model.generate(
            **prompt,
            max_new_tokens=4,
            do_sample=True,
            top_k=0,
            num_return_sequences=2,
            output_logits=True,
            return_dict_in_generate=True,
        )
    logits = torch.stack(output.logits, dim=1)
    reference = Reference(family_subject.model, prompt, config)
    for row, new in enumerate(output.sequences[:, -4:].tolist()):
        for step in range(4):
            expected = reference.logits(new[:step])[-1]
            assert_close(logits[row, step], expected)


def test_bfloat16_runs_and_keeps_the_same_counts(family_subject: Subject) -> None:
    config, model = CONFIGS["paper-like"], family_subject.build().to(torch.bfloat16)
    with himap.prune(model, config) as pruning:
        _, logits = generate(model, family_subject.batch())
    assert logits.isfinite().all()
    assert pruning.kept == [config.kept(n) for n in pruning.image_tokens]


@pytest.mark.parametrize("k1", [1, 2, 3])
def test_deepstack_adds_features_after_a_cut(families: Callable[[str], Subject], k1: int) -> None:
    """Qwen3-VL adds image features to the outputs of layers 0, 1 and 2, after a cut to the tokens left."""
    subject = families("qwen3_vl")
    assert_prompt_equals_reference(subject.model, subject.prompts[0], PruningConfig(k1, 50, 4, 50))
