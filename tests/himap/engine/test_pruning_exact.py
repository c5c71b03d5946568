"""Generation with dropped tokens equals the plain full-length reference: tokens, logits, kept sets."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

import himap
from himap import PruningConfig
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
    """New tokens (rows, steps) and their logits (rows, steps, vocabulary), greedy and cached."""
    output = model.generate(
        **prompt, max_new_tokens=STEPS, do_sample=False, output_logits=True, return_dict_in_generate=True, **options
    )
    return output.sequences[:, -STEPS:], torch.stack(output.logits, dim=1)


def image_part(prompt: Prompt, positions: torch.Tensor) -> list[int]:
    return [i for i in positions.tolist() if i >= 0 and prompt["input_ids"][0, i] == IMAGE_ID]


@pytest.mark.parametrize("name", CONFIGS)
def test_one_prompt_equals_the_reference(subject: Subject, name: str) -> None:
    config, prompt = CONFIGS[name], subject.prompts[0]
    reference = Reference(subject.model, prompt, config)
    ids, logits = reference.generate(STEPS)
    with himap.prune(subject.model, config) as pruning:
        new, got = generate(subject.model, prompt)
    assert new[0].tolist() == ids
    torch.testing.assert_close(got[0], torch.stack(logits), rtol=0, atol=TOLERANCE)
    if config.cuts:
        assert image_part(prompt, pruning.positions[0]) == reference.kept[config.cuts[-1].layer]
    assert pruning.kept == [config.kept(pruning.image_tokens[0])]


@pytest.mark.parametrize("name", ["paper-like", "adjacent", "edges", "swapped"])
def test_each_row_of_a_padded_batch_equals_the_reference_alone(subject: Subject, name: str) -> None:
    config = CONFIGS[name]
    with himap.prune(subject.model, config) as pruning:
        new, got = generate(subject.model, subject.batch())
    width = subject.batch()["input_ids"].shape[1]
    for row, prompt in enumerate(subject.prompts):
        reference = Reference(subject.model, prompt, config)
        ids, logits = reference.generate(STEPS)
        assert new[row].tolist() == ids
        torch.testing.assert_close(got[row], torch.stack(logits), rtol=0, atol=TOLERANCE)
        gap = width - prompt["input_ids"].shape[1]
        assert image_part(prompt, pruning.positions[row] - gap) == reference.kept[config.k2]
        assert pruning.kept[row] == config.kept(len(reference.image))


def test_random_keeps_the_same_tokens_alone_and_in_a_batch(subject: Subject) -> None:
    config = PruningConfig(2, 50, 4, 50, "random", "random", seed=7)
    with himap.prune(subject.model, config) as pruning:
        new, got = generate(subject.model, subject.batch())
        together = pruning.positions
        for row, prompt in enumerate(subject.prompts):
            alone_new, alone = generate(subject.model, prompt)
            gap = subject.batch()["input_ids"].shape[1] - prompt["input_ids"].shape[1]
            kept = image_part(prompt, pruning.positions[0])
            assert kept == image_part(prompt, together[row] - gap)
            assert alone_new[0].tolist() == new[row].tolist()
            torch.testing.assert_close(alone[0], got[row], rtol=0, atol=TOLERANCE)


def test_random_choice_equals_the_reference_with_that_choice(subject: Subject) -> None:
    prompt = subject.prompts[0]
    config = PruningConfig(3, 60, 4, 0, "random")
    with himap.prune(subject.model, config) as pruning:
        new, got = generate(subject.model, prompt)
    reference = Reference(subject.model, prompt, config, kept=(image_part(prompt, pruning.positions[0]),))
    ids, logits = reference.generate(STEPS)
    assert new[0].tolist() == ids
    torch.testing.assert_close(got[0], torch.stack(logits), rtol=0, atol=TOLERANCE)


def test_dropped_tokens_are_in_no_deeper_cache(subject: Subject) -> None:
    prompt, config = subject.prompts[0], CONFIGS["paper-like"]
    with himap.prune(subject.model, config) as pruning, torch.no_grad():
        cache = subject.model(**prompt, use_cache=True).past_key_values
    after_k1, after_k2 = pruning.kept[0]
    text, images = pruning.text_tokens[0], pruning.image_tokens[0]
    lengths = [cache.layers[i].keys.shape[2] for i in range(LAYERS)]
    assert lengths == [text + images] * 2 + [text + after_k1] * 2 + [text + after_k2] * (LAYERS - 4)
    assert after_k2 < after_k1 < images


@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_of_a_forward_stand_for_the_kept_positions(subject: Subject, side: str) -> None:
    config, batch = CONFIGS["paper-like"], subject.batch(side)
    with himap.prune(subject.model, config) as pruning, torch.no_grad():
        logits = subject.model(**batch).logits
    assert logits.shape[1] == pruning.positions.shape[1] < batch["input_ids"].shape[1]
    for row, prompt in enumerate(subject.prompts):
        reference = Reference(subject.model, prompt, config).logits([])
        length = prompt["input_ids"].shape[1]
        gap = batch["input_ids"].shape[1] - length if side == "left" else 0
        there = pruning.positions[row] >= 0
        kept = pruning.positions[row][there] - gap
        torch.testing.assert_close(logits[row][there], reference[kept], rtol=0, atol=TOLERANCE)
        assert there[-1] and kept[-1] == length - 1


def test_several_tokens_at_once_after_a_cached_prompt(subject: Subject) -> None:
    """As in a second turn or in speculative decoding: the chunk needs a mask over the shorter cache."""
    config, prompt, turn = CONFIGS["paper-like"], subject.prompts[0], [5, 17, 33]
    reference = Reference(subject.model, prompt, config)
    reference.logits([])
    with himap.prune(subject.model, config), torch.no_grad():
        cache = subject.model(**prompt, use_cache=True).past_key_values
        got = subject.model(input_ids=torch.tensor([turn]), past_key_values=cache).logits[0]
    torch.testing.assert_close(got, reference.logits(turn)[-3:], rtol=0, atol=TOLERANCE)


def test_beams_and_returned_sequences_follow_the_prompt(subject: Subject) -> None:
    config = CONFIGS["paper-like"]
    options = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": STEPS, "do_sample": False}
    with himap.prune(subject.model, config):
        together = subject.model.generate(**subject.batch(), **options)[:, -STEPS:]
        for row, prompt in enumerate(subject.prompts):
            alone = subject.model.generate(**prompt, **options)[:, -STEPS:]
            assert together[2 * row : 2 * row + 2].tolist() == alone.tolist()


def test_eager_models_prune_alike(subject: Subject) -> None:
    config, batch = CONFIGS["paper-like"], subject.batch()
    with himap.prune(subject.model, config):
        new, expected = generate(subject.model, batch)
    subject.decoder.config._attn_implementation = "eager"
    try:
        with himap.prune(subject.model, config):
            got_new, got = generate(subject.model, batch)
        assert subject.decoder.config._attn_implementation == "eager"
    finally:
        subject.decoder.config._attn_implementation = "sdpa"
    assert got_new.tolist() == new.tolist()
    torch.testing.assert_close(got, expected, rtol=0, atol=TOLERANCE)


def test_features_that_were_computed_before(subject: Subject) -> None:
    """A search keeps image features: as embeddings beside the ids, or as encoder outputs."""
    config, prompt, model = CONFIGS["paper-like"], subject.prompts[0], subject.model
    embeds = Reference(model, prompt, config).embeds
    vision = {"pixel_values": prompt["pixel_values"]}
    if "image_grid_thw" in prompt:
        vision["image_grid_thw"] = prompt["image_grid_thw"]
    with torch.no_grad():
        features = model.get_image_features(**vision, return_dict=True)
    without = {key: value for key, value in prompt.items() if key != "pixel_values"}
    with himap.prune(model, config):
        new, expected = generate(model, prompt)
        ways: list[dict[str, Any]] = [{"inputs_embeds": embeds}]
        if "mm_encoder_outputs" in inspect.signature(model.forward).parameters:  # not in transformers 5.17
            ways.append({"mm_encoder_outputs": {"image": features}})
        for extra in ways:
            got_new, got = generate(model, without, **extra)
            assert got_new.tolist() == new.tolist()
            torch.testing.assert_close(got, expected, rtol=0, atol=TOLERANCE)


def test_bfloat16_runs_and_keeps_the_counts(subject: Subject) -> None:
    config, batch = CONFIGS["paper-like"], subject.batch()
    model = subject.build().to(torch.bfloat16)
    with himap.prune(model, config) as pruning:
        _, logits = generate(model, batch)
    assert logits.isfinite().all()
    assert pruning.kept == [config.kept(n) for n in pruning.image_tokens]
