"""Generation with dropped tokens equals the plain full-length reference on LLaVA-1.5 and Qwen2.5-VL."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

import himap
from himap import PruningConfig
from tests.himap.exactness import (
    CONFIGS,
    STEPS,
    assert_batch_equals_reference,
    assert_close,
    assert_prompt_equals_reference,
    generate,
    image_part,
)
from tests.himap.plain_reference import Reference
from tests.himap.tiny_models import LAYERS, Subject


@pytest.mark.parametrize("name", CONFIGS)
def test_one_prompt_equals_the_reference(subject: Subject, name: str) -> None:
    assert_prompt_equals_reference(subject.model, subject.prompts[0], CONFIGS[name])


@pytest.mark.parametrize("name", ["paper-like", "adjacent", "edges", "swapped"])
def test_each_row_of_a_padded_batch_equals_the_reference_alone(subject: Subject, name: str) -> None:
    assert_batch_equals_reference(subject, CONFIGS[name])


def test_random_keeps_the_same_tokens_alone_and_in_a_batch(subject: Subject) -> None:
    config, batch = PruningConfig(2, 50, 4, 50, "random", "random", seed=7), subject.batch()
    with himap.prune(subject.model, config) as pruning:
        batch_ids, batch_logits = generate(subject.model, batch)
        batch_positions = pruning.positions
        for row, prompt in enumerate(subject.prompts):
            ids, logits = generate(subject.model, prompt)
            gap = batch["input_ids"].shape[1] - prompt["input_ids"].shape[1]
            kept = image_part(prompt, pruning.positions[0])
            assert kept == image_part(prompt, batch_positions[row] - gap)
            assert ids[0].tolist() == batch_ids[row].tolist()
            assert_close(logits[0], batch_logits[row])


def test_a_random_choice_equals_the_reference_with_that_choice(subject: Subject) -> None:
    prompt, config = subject.prompts[0], PruningConfig(3, 60, 4, 0, "random")
    with himap.prune(subject.model, config) as pruning:
        generate(subject.model, prompt)
    assert_prompt_equals_reference(subject.model, prompt, config, (image_part(prompt, pruning.positions[0]),))


def test_dropped_tokens_are_in_no_deeper_cache(subject: Subject) -> None:
    prompt, config = subject.prompts[0], CONFIGS["paper-like"]
    with himap.prune(subject.model, config) as pruning, torch.no_grad():
        cache = subject.model(**prompt, use_cache=True).past_key_values
    after_k1, after_k2 = pruning.kept[0]
    text, images = pruning.text_tokens[0], pruning.image_tokens[0]
    lengths = [cache.layers[i].keys.shape[2] for i in range(LAYERS)]
    assert lengths == [text + images] * 2 + [text + after_k1] * 2 + [text + after_k2] * (LAYERS - 4)
    assert after_k2 < after_k1 < images


def test_beams_and_returned_sequences_follow_the_prompt(subject: Subject) -> None:
    config = CONFIGS["paper-like"]
    options = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": STEPS, "do_sample": False}
    with himap.prune(subject.model, config):
        in_batch = subject.model.generate(**subject.batch(), **options)[:, -STEPS:]
        for row, prompt in enumerate(subject.prompts):
            alone = subject.model.generate(**prompt, **options)[:, -STEPS:]
            assert in_batch[2 * row : 2 * row + 2].tolist() == alone.tolist()


def test_eager_models_give_the_same_results(subject: Subject) -> None:
    config, batch = CONFIGS["paper-like"], subject.batch()
    with himap.prune(subject.model, config):
        expected_ids, expected_logits = generate(subject.model, batch)
    subject.decoder.config._attn_implementation = "eager"
    try:
        with himap.prune(subject.model, config):
            ids, logits = generate(subject.model, batch)
        assert subject.decoder.config._attn_implementation == "eager"
    finally:
        subject.decoder.config._attn_implementation = "sdpa"
    assert ids.tolist() == expected_ids.tolist()
    assert_close(logits, expected_logits)


def test_precomputed_features_give_the_same_results(subject: Subject) -> None:
    """A search computes image features once, and passes them as embeddings beside the ids or as encoder outputs."""
    config, prompt, model = CONFIGS["paper-like"], subject.prompts[0], subject.model
    embeds = Reference(model, prompt, config).embeds
    vision = {key: prompt[key] for key in ("pixel_values", "image_grid_thw") if key in prompt}
    with torch.no_grad():
        features = model.get_image_features(**vision, return_dict=True)
    text = {key: value for key, value in prompt.items() if key != "pixel_values"}
    with himap.prune(model, config):
        expected_ids, expected_logits = generate(model, prompt)
        ways: list[dict[str, Any]] = [{"inputs_embeds": embeds}]
        if "mm_encoder_outputs" in inspect.signature(model.forward).parameters:  # not in transformers 5.17
            ways.append({"mm_encoder_outputs": {"image": features}})
        for extra in ways:
            ids, logits = generate(model, text, **extra)
            assert ids.tolist() == expected_ids.tolist()
            assert_close(logits, expected_logits)
