"""Entering and leaving the pruning context: the model is restored, and what does not fit is refused."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, StaticCache
from transformers.masking_utils import AttentionMaskInterface
from transformers.modeling_utils import AttentionInterface

import himap
from himap import ConfigError, HimapError, InputError, PresetError, PruningConfig, UnsupportedModelError
from himap.engine import attention
from tests.himap import tiny_families, tiny_models
from tests.himap.presets.test_preset_files import DOCUMENT, written
from tests.himap.tiny_models import LAYERS, Subject

CONFIG = PruningConfig(2, 50, 4, 75)


def model_state(model: Any) -> dict[str, Any]:
    """Return everything that pruning changes in a model and in the tables of transformers."""
    hooks = ("_forward_pre_hooks", "_forward_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called")
    modules = dict(model.named_modules())
    return {
        "modules": {name: id(module) for name, module in modules.items()},
        "attributes": {name: sorted(vars(module)) for name, module in modules.items()},
        "hooks": {name: [len(getattr(module, hook)) for hook in hooks] for name, module in modules.items()},
        "config": copy.deepcopy(model.config.to_dict()),
        "attention": [
            config._attn_implementation
            for config in (model.config, model.config.text_config, model.config.vision_config)
        ],
        "tables": (dict(AttentionInterface._global_mapping), dict(AttentionMaskInterface._global_mapping)),
    }


@torch.no_grad()
def logits(subject: Subject, row: int = 0) -> torch.Tensor:
    result: torch.Tensor = subject.model(**subject.prompts[row]).logits
    return result


def test_leaving_restores_everything(family_subject: Subject) -> None:
    model, before = family_subject.model, logits(family_subject)
    state = model_state(model)
    with himap.prune(model, CONFIG):
        assert model_state(model) != state
        assert logits(family_subject).shape[1] < before.shape[1]
    assert model_state(model) == state
    assert torch.equal(logits(family_subject), before)


def test_an_exception_restores_everything(subject: Subject) -> None:
    model, before = subject.model, logits(subject)
    state = model_state(model)
    with pytest.raises(ZeroDivisionError), himap.prune(model, CONFIG):
        raise ZeroDivisionError
    assert model_state(model) == state

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    handle = subject.decoder.layers[3].register_forward_pre_hook(fail)
    with himap.prune(model, CONFIG):
        with pytest.raises(ZeroDivisionError):
            logits(subject)
        handle.remove()
        expected = logits(subject)
    assert model_state(model) == state
    with himap.prune(model, CONFIG):
        assert torch.equal(logits(subject), expected)
    assert torch.equal(logits(subject), before)


def test_a_replaced_method_of_the_model_is_restored(subject: Subject) -> None:
    model = subject.model
    own = model.prepare_inputs_for_generation
    model.prepare_inputs_for_generation = own
    try:
        with himap.prune(model, CONFIG):
            assert vars(model)["prepare_inputs_for_generation"] is not own
        assert vars(model)["prepare_inputs_for_generation"] is own
    finally:
        del model.prepare_inputs_for_generation


def test_two_models_at_once(llava: Subject, qwen: Subject) -> None:
    other = PruningConfig(1, 25, 3, 50, "last_token", "random")
    with himap.prune(llava.model, CONFIG):
        alone = logits(llava)
    with himap.prune(llava.model, CONFIG) as first, himap.prune(qwen.model, other) as second:
        logits(qwen)
        in_both = logits(llava)
        assert first.kept == [CONFIG.kept(16)]
        assert second.kept == [other.kept(24)]
    assert torch.equal(in_both, alone)
    assert not any(name.startswith(attention.PREFIX) for name in AttentionInterface._global_mapping)


def test_the_same_model_twice_is_refused(subject: Subject) -> None:
    state = model_state(subject.model)
    with himap.prune(subject.model, CONFIG):
        inside = model_state(subject.model)
        with pytest.raises(HimapError, match="already"), himap.prune(subject.model, CONFIG):
            pass
        assert model_state(subject.model) == inside
    assert model_state(subject.model) == state


def test_a_context_is_entered_only_once(subject: Subject) -> None:
    context = himap.prune(subject.model, CONFIG)
    kept = []
    for one_context in (context, himap.prune(subject.model, CONFIG)):
        with one_context as pruning:
            logits(subject)
        kept.append(pruning.kept)
    assert kept[0] == kept[1]
    with pytest.raises((AttributeError, RuntimeError)), context:
        pass
    assert not any(name.startswith(attention.PREFIX) for name in AttentionInterface._global_mapping)


def test_presets_and_their_paths_are_accepted_as_configurations(subject: Subject, tmp_path: Path) -> None:
    model = {**DOCUMENT["model"], "family": None, "layers": None}
    path = written(tmp_path, {**DOCUMENT, "configuration": CONFIG.as_dict(), "model": model})
    for setting in (path, str(path), himap.read_preset(path)):
        with himap.prune(subject.model, setting) as pruning:
            logits(subject)
        assert pruning.config == CONFIG
        assert pruning.kept == [CONFIG.kept(n) for n in pruning.image_tokens]
    state = model_state(subject.model)
    with pytest.raises(PresetError, match=r"nothing\.yaml"), himap.prune(subject.model, tmp_path / "nothing.yaml"):
        pass
    assert model_state(subject.model) == state


def test_a_preset_of_another_architecture_is_refused(llava: Subject, tmp_path: Path) -> None:
    state, layers = model_state(llava.model), len(llava.model.model.language_model.layers)

    def preset(**changes: object) -> Path:
        document = {**DOCUMENT["model"], "layers": layers, **changes}
        return written(tmp_path, {**DOCUMENT, "configuration": CONFIG.as_dict(), "model": document})

    with himap.prune(llava.model, preset()) as pruning:
        assert pruning.config == CONFIG
    for other in ({"layers": layers + 1}, {"family": "Qwen2VLForConditionalGeneration"}):
        with pytest.raises(PresetError, match="this preset was made for"), himap.prune(llava.model, preset(**other)):
            pass
    assert model_state(llava.model) == state


def test_flash_attention_runs_as_sdpa_inside(subject: Subject) -> None:
    """The implementation is replaced and restored; the kernel itself would need a GPU."""
    config = subject.decoder.config
    with himap.prune(subject.model, CONFIG):
        expected = logits(subject)
    config._attn_implementation = "flash_attention_2"
    try:
        with himap.prune(subject.model, CONFIG):
            assert torch.equal(logits(subject), expected)
        assert config._attn_implementation == "flash_attention_2"
    finally:
        config._attn_implementation = "sdpa"


def test_a_model_placed_by_a_device_map_gives_the_same_results(subject: Subject) -> None:
    with himap.prune(subject.model, CONFIG):
        expected = subject.model.generate(**subject.batch(), max_new_tokens=4, do_sample=False)
    model = subject.build()
    model.load_state_dict(subject.model.state_dict())
    device_map = {"model": "cpu", "lm_head": "cpu"}
    model = accelerate.dispatch_model(model, device_map, main_device="cpu", force_hooks=True)
    model(**subject.prompts[0])  # the first call sets hooks of transformers
    state = model_state(model)
    with himap.prune(model, CONFIG) as pruning:
        output = model.generate(**subject.batch(), max_new_tokens=4, do_sample=False)
    assert torch.equal(output, expected)
    assert pruning.kept == [CONFIG.kept(n) for n in pruning.image_tokens]
    assert model_state(model) == state


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (PruningConfig(1, 0, 2, 0), (16, 16)),
        (PruningConfig(1, 100, 2, 100), (0, 0)),
        (PruningConfig(1, 6, 2, 6), (16, 16)),  # less than one of 16 tokens
        (PruningConfig(1, 93.75, 2, 50), (1, 1)),
        (PruningConfig(1, 99, 2, 100), (1, 0)),
        (PruningConfig(1, 0, LAYERS - 1, 100), (16, 0)),
        (PruningConfig(LAYERS - 2, 25, LAYERS - 1, 25), (12, 9)),
    ],
)
def test_edges_of_rates_and_depths(llava: Subject, config: PruningConfig, kept: tuple[int, int]) -> None:
    with himap.prune(llava.model, config) as pruning:
        new = llava.model.generate(**llava.prompts[0], max_new_tokens=2, do_sample=False)
        assert logits(llava).shape[1] == 10 + kept[1]
    assert pruning.kept == [kept]
    assert new.shape[1] == 28


def test_a_dense_configuration_only_counts_tokens(subject: Subject) -> None:
    before = logits(subject)
    with himap.prune(subject.model, PruningConfig.dense()) as pruning:
        assert pruning.kept == pruning.image_tokens == pruning.text_tokens == []
        assert torch.equal(logits(subject), before)
        n = pruning.image_tokens[0]
        assert pruning.kept == [(n, n)]
        assert n + pruning.text_tokens[0] == before.shape[1]
        subject.model.generate(**subject.batch(), max_new_tokens=2)
        assert pruning.kept == [(n, n) for n in pruning.image_tokens]
        assert len(pruning.kept) == 3


def test_a_prompt_without_an_image_is_not_changed(subject: Subject) -> None:
    text = {"input_ids": torch.tensor([[5, 6, 7, 8], [0, 9, 10, 11]])}
    text["attention_mask"] = (text["input_ids"] != 0).long()
    options = {"max_new_tokens": 3, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
    expected = subject.model.generate(**text, **options)
    with himap.prune(subject.model, CONFIG) as pruning:
        output = subject.model.generate(**text, **options)
    assert torch.equal(output.sequences, expected.sequences)
    torch.testing.assert_close(torch.stack(output.logits), torch.stack(expected.logits), rtol=0, atol=1e-6)
    assert pruning.kept == [(0, 0), (0, 0)]
    assert pruning.text_tokens == [4, 3]


def test_a_row_without_an_image_keeps_its_tokens(llava: Subject) -> None:
    image, text = llava.prompts[0], {"input_ids": torch.tensor([[5, 6, 7, 8]])}
    text["attention_mask"] = torch.ones_like(text["input_ids"])
    batch = tiny_models.padded_batch([image, text])
    with himap.prune(llava.model, CONFIG) as pruning:
        in_batch = llava.model.generate(**batch, max_new_tokens=3, do_sample=False)
        assert pruning.kept == [CONFIG.kept(16), (0, 0)]
        alone = llava.model.generate(**text, max_new_tokens=3, do_sample=False)
    assert in_batch[1, -3:].tolist() == alone[0, -3:].tolist()


def test_unsupported_models_are_named(llava: Subject) -> None:
    text = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=1)
    with pytest.raises(UnsupportedModelError, match=r"got LlamaForCausalLM; expected a class that himap"):
        himap.prune(LlamaForCausalLM(text), CONFIG).__enter__()
    llava.decoder.config._attn_implementation = "flex_attention"
    try:
        with pytest.raises(UnsupportedModelError, match=r"flex_attention.*sdpa, eager"):
            himap.prune(llava.model, CONFIG).__enter__()
    finally:
        llava.decoder.config._attn_implementation = "sdpa"


def test_decoders_and_layers_of_other_kinds_are_refused(qwen: Subject) -> None:
    other = tiny_families.llava_with({"model_type": "phi", "hidden_size": 32, "num_attention_heads": 2})
    with pytest.raises(UnsupportedModelError, match=r"with the decoder PhiModel; expected one that is tested"):
        himap.prune(other, CONFIG).__enter__()
    config, before = qwen.decoder.config, qwen.decoder.config.layer_types
    config.layer_types = [*before[:-1], "chunked_attention"]
    try:
        with pytest.raises(UnsupportedModelError, match="layers with chunked_attention"):
            himap.prune(qwen.model, CONFIG).__enter__()
    finally:
        config.layer_types = before


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PruningConfig(2, 50, LAYERS, 75), f"k2={LAYERS} must be below the model's {LAYERS} layers"),
        (PruningConfig(LAYERS, 50, LAYERS + 1, 0), f"k1={LAYERS}"),
    ],
)
def test_cuts_beyond_the_last_layer_are_refused(subject: Subject, config: PruningConfig, message: str) -> None:
    state = model_state(subject.model)
    with pytest.raises(ConfigError, match=message):
        himap.prune(subject.model, config).__enter__()
    assert model_state(subject.model) == state


def test_a_cut_that_is_off_may_be_at_any_layer(subject: Subject) -> None:
    with himap.prune(subject.model, PruningConfig(2, 50, 99, 0)) as pruning:
        logits(subject)
    n = pruning.image_tokens[0]
    assert pruning.kept == [(n - n // 2, n - n // 2)]


def test_calls_that_cannot_be_pruned_correctly_are_refused(subject: Subject) -> None:
    model, prompt = subject.model, subject.prompts[0]
    embeds = model.get_input_embeddings()(torch.tensor([[5, 6, 7]]))
    mask_4d = torch.ones(1, 1, prompt["input_ids"].shape[1], prompt["input_ids"].shape[1], dtype=torch.bool)
    with himap.prune(model, CONFIG), torch.no_grad():
        with pytest.raises(InputError, match="inputs_embeds came without input_ids"):
            model(inputs_embeds=embeds)
        with pytest.raises(InputError, match="two-dimensional"):
            model(**{**prompt, "attention_mask": mask_4d})
        with pytest.raises(InputError, match="static cache"):
            model(**prompt, past_key_values=StaticCache(config=model.config.text_config, max_cache_len=64))
        cache = model(**prompt, use_cache=True).past_key_values
        with pytest.raises(InputError, match="an image on a filled cache"):
            model(**{**prompt, "attention_mask": None}, past_key_values=cache)
    with himap.prune(model, PruningConfig(3, 50, 4, 75)), pytest.raises(InputError, match="another pruning"):
        model(input_ids=torch.tensor([[5]]), past_key_values=cache)


def test_caches_may_alternate_be_copied_and_be_resumed_later(subject: Subject) -> None:
    """Two prompts are prefilled before either is continued; a copy and a later context give the same logits."""
    model, batch = subject.model, subject.batch()
    token = {"input_ids": torch.full((3, 1), 7), "position_ids": torch.full((3, 1), 40)}
    with himap.prune(model, CONFIG), torch.no_grad():
        kept = model(**batch, use_cache=True).past_key_values
        expected = model(**token, past_key_values=copy.deepcopy(kept)).logits
        model(**subject.prompts[1], use_cache=True)
        copied = copy.deepcopy(kept)
        output = model(**token, past_key_values=kept).logits
    assert torch.equal(output, expected)
    with himap.prune(model, CONFIG), torch.no_grad():
        assert torch.equal(model(**token, past_key_values=copied).logits, expected)


def test_a_reset_cache_takes_a_new_prompt(subject: Subject) -> None:
    model, prompt = subject.model, subject.prompts[0]
    token = {"input_ids": torch.full((1, 1), 7), "position_ids": torch.full((1, 1), 40)}
    with torch.no_grad():
        expected = model(**token, past_key_values=model(**prompt, use_cache=True).past_key_values).logits
        with himap.prune(model, CONFIG):
            cache = model(**prompt, use_cache=True).past_key_values
        cache.reset()
        if cache.get_seq_length():
            pytest.skip("this version of transformers fills a reset cache with zeros in place of emptying it")
        with himap.prune(model, PruningConfig.dense()):
            model(**prompt, past_key_values=cache)
            assert torch.equal(model(**token, past_key_values=cache).logits, expected)


def test_the_language_model_alone_is_not_pruned(subject: Subject) -> None:
    embeds = torch.randn(1, 9, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = subject.decoder(inputs_embeds=embeds).last_hidden_state
        with himap.prune(subject.model, CONFIG):
            logits(subject)
            output = subject.decoder(inputs_embeds=embeds).last_hidden_state
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)


def test_importing_changes_nothing_and_settings_need_no_torch() -> None:
    code = (
        "import sys, himap; himap.PruningConfig.paper(); assert 'torch' not in sys.modules;"
        "from transformers.modeling_utils import AttentionInterface as a; before = dict(a._global_mapping);"
        "himap.prune; assert dict(a._global_mapping) == before"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
