"""Families with recurrent or otherwise unusual layers: pruned generation equals the family-blind reference."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

import himap
from himap import ConfigError, PruningConfig, UnsupportedModelError, flow
from himap.families import find
from himap.verification.reference import HiddenColumns
from objectives.evaluation.memory import Memory
from objectives.evaluation.prefix_cache import PrefixCache
from tests.himap.exactness import STEPS, generate, image_part
from tests.himap.tiny_hybrids import HYBRIDS, subject
from tests.himap.tiny_models import Prompt, Subject

TOLERANCE = 1e-4
SUPPRESSED = [90, 91, 92, 93]  # a generated placeholder of an image would need an image
built = cache(subject)


@pytest.fixture(params=HYBRIDS)
def hybrid(request: pytest.FixtureRequest) -> Subject:
    return built(request.param)


def configs(model: Any) -> list[PruningConfig]:
    """Return cuts at the first layers that rank, one of them behind further recurrent layers where there are any."""
    layers = find(model).cut_layers
    first = layers[0]
    second = next(layer for layer in layers if layer > first + 1)
    return [
        PruningConfig(first, 50, second, 50),
        PruningConfig(first + 1, 40, second, 60, "intra_column", "last_token"),
        PruningConfig.fastv(first),
        PruningConfig(first, 100, second, 50),
    ]


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCE)


def assert_equals_reference(model: Any, prompt: Prompt, config: PruningConfig) -> None:
    reference = HiddenColumns(find(model), prompt, config)
    ids, logits = reference.generate(STEPS, SUPPRESSED)
    with himap.prune(model, config) as pruning:
        new_ids, new_logits = generate(model, prompt, suppress_tokens=SUPPRESSED)
    assert new_ids[0].tolist() == ids
    assert_close(new_logits[0], torch.stack(logits))
    assert image_part(prompt, pruning.positions[0]) == reference.kept[config.cuts[-1].layer]
    assert pruning.kept == [config.kept(len(reference.image))]


@pytest.mark.parametrize("number", range(4))
def test_one_prompt_equals_the_reference(hybrid: Subject, number: int) -> None:
    assert_equals_reference(hybrid.model, hybrid.prompts[0], configs(hybrid.model)[number])


def test_the_cuts_matter_and_the_model_is_restored(hybrid: Subject) -> None:
    model, prompt, config = hybrid.model, hybrid.prompts[0], configs(hybrid.model)[0]
    with torch.no_grad():
        before = model(**prompt).logits[0, -1]
        with himap.prune(model, config):
            pruned = model(**prompt).logits[0, -1]
        after = model(**prompt).logits[0, -1]
    assert (pruned - before).abs().max() > 50 * TOLERANCE
    assert torch.equal(before, after)


def test_each_row_of_a_padded_batch_equals_the_reference_alone(hybrid: Subject) -> None:
    config, batch = configs(hybrid.model)[0], hybrid.batch()
    with himap.prune(hybrid.model, config) as pruning:
        new_ids, new_logits = generate(hybrid.model, batch, suppress_tokens=SUPPRESSED)
    for row, prompt in enumerate(hybrid.prompts):
        reference = HiddenColumns(find(hybrid.model), prompt, config)
        ids, logits = reference.generate(STEPS, SUPPRESSED)
        gap = batch["input_ids"].shape[1] - prompt["input_ids"].shape[1]
        assert new_ids[row].tolist() == ids
        assert_close(new_logits[row], torch.stack(logits))
        assert image_part(prompt, pruning.positions[row] - gap) == reference.kept[config.k2]


def test_several_tokens_at_once_after_a_cached_prompt(hybrid: Subject) -> None:
    config, prompt, turn = configs(hybrid.model)[0], hybrid.prompts[1], [5, 17, 33]
    with himap.prune(hybrid.model, config), torch.no_grad():
        cache = hybrid.model(**prompt, use_cache=True).past_key_values
        logits = hybrid.model(input_ids=torch.tensor([turn]), past_key_values=cache).logits[0]
    assert_close(logits, HiddenColumns(find(hybrid.model), prompt, config).logits(turn)[-3:])


def test_two_turns_with_an_image_each_equal_the_reference(hybrid: Subject) -> None:
    first, second = hybrid.prompts[:2]
    per_token = {"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids"}
    prompt = {name: torch.cat([first[name], second[name]], int(name in per_token)) for name in first}
    assert_equals_reference(hybrid.model, prompt, configs(hybrid.model)[0])


@pytest.mark.parametrize("name", ["qwen3_5"])
def test_a_cut_without_attention_to_rank_by_is_refused(name: str) -> None:
    model = built(name).model
    assert find(model).cut_layers == (4, 8)
    with (
        pytest.raises(ConfigError, match=r"k1=2 with instruction.*set k1 to one of 4, 8"),
        himap.prune(model, PruningConfig(2, 50, 4, 50)),
    ):
        pass
    with (
        pytest.raises(ConfigError, match="rank by the attention of layer 3"),
        himap.prune(model, PruningConfig(4, 50, 6, 50)),
    ):
        pass


def test_the_flow_of_a_recurrent_layer_is_refused() -> None:
    model, prompt = built("qwen3_5").model, built("qwen3_5").prompts[0]
    with pytest.raises(UnsupportedModelError, match="layer 0 computes no attention"):
        flow.saliency(model, prompt, prompt["input_ids"])
    with (
        pytest.raises(ConfigError, match="layer 2 computes no attention"),
        flow.disrupt(model, flow.Block("visual_textual", (2,))),
    ):
        pass


@pytest.mark.parametrize("name", ["qwen3_5", "mistral4"])
def test_reused_layers_in_front_of_a_cut_change_nothing(name: str) -> None:
    """Their caches hold no plain keys and values, so these layers run again."""
    model, prompt, config = built(name).model, built(name).prompts[0], configs(built(name).model)[0]
    cache = PrefixCache(Memory(1 << 30))
    with himap.prune(model, config), cache.reusing(model, config) as announce:
        results = []
        for key in (None, ("batch",), ("batch",)):
            announce(key)
            results.append(generate(model, prompt)[1])
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.parametrize("name", ["paligemma2", "internvl_gpt_oss"])
def test_the_flow_through_caps_and_sinks_is_refused(name: str) -> None:
    model, prompt = built(name).model, built(name).prompts[0]
    with pytest.raises(UnsupportedModelError, match=r"softcap|s_aux"):
        flow.saliency(model, prompt, prompt["input_ids"])
    with flow.disrupt(model, flow.Block("visual_textual", (1,))), pytest.raises(UnsupportedModelError):
        model(**prompt)
