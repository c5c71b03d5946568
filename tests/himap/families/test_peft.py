"""Models with adapters of PEFT are pruned like their merged weights; learned prompts are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import himap
from himap import PruningConfig, UnsupportedModelError
from tests.himap.tiny_models import Subject

peft = pytest.importorskip("peft", reason="peft is not installed: adapters need it")
CONFIG = PruningConfig(2, 50, 4, 50)


def adapted(llava: Subject) -> Any:
    """Return a model with a LoRA that changes its answers."""
    torch.manual_seed(4)
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    model = peft.get_peft_model(llava.build(), settings).eval()
    model.get_base_model().load_state_dict(llava.model.state_dict(), strict=False)
    return model


def generate(model: Any, llava: Subject) -> torch.Tensor:
    ids: torch.Tensor = model.generate(**llava.batch(), max_new_tokens=6, do_sample=False)
    return ids


def test_an_adapter_is_pruned_like_its_merged_weights(llava: Subject) -> None:
    model = adapted(llava)
    with himap.prune(model, CONFIG) as pruning:
        wrapped = generate(model, llava)
        inner = generate(model.get_base_model(), llava)
    assert pruning.kept == [CONFIG.kept(16)] * 3
    with himap.prune(model.merge_and_unload(), CONFIG):
        merged = generate(model.get_base_model(), llava)
    with himap.prune(llava.model, CONFIG):
        assert not torch.equal(generate(llava.model, llava), merged)
    assert torch.equal(wrapped, merged) and torch.equal(inner, merged)


def test_a_wrapper_is_restored(llava: Subject) -> None:
    model = adapted(llava)
    before = generate(model, llava)
    with himap.prune(model, PruningConfig(1, 100, 3, 0)):
        generate(model, llava)
    assert torch.equal(generate(model, llava), before)


def test_verify_takes_a_wrapper(llava: Subject) -> None:
    assert himap.verify(adapted(llava)).deviation <= 1e-4


def test_learned_prompts_are_refused(llava: Subject) -> None:
    settings = peft.PrefixTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=3, num_layers=6, token_dim=24, num_attention_heads=2
    )
    model = peft.get_peft_model(llava.build(), settings)
    with pytest.raises(UnsupportedModelError, match=r"PREFIX_TUNING, which puts learned tokens"):
        himap.prune(model, CONFIG, untested=True).__enter__()
