"""What the adapter reads of a model's structure: its placeholder, its windows, and what it refuses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from himap import UnsupportedModelError, families
from himap.engine.attention import OBSERVER, attend
from himap.engine.passes import PromptPass
from himap.engine.plan import plan
from himap.tokens import TokenSet
from tests.himap import tiny_classes
from tests.himap.exactness import CONFIGS
from tests.himap.tiny_classes import build, config_of
from tests.himap.tiny_models import IMAGE_ID, Subject


@pytest.mark.parametrize(
    "config",
    [
        {"image_token_id": 5},
        {"image_token_id": None, "image_token_index": 5},
        {"image_patch_id": 5},
        {"vocabulary_map": {"<image>": 5}},
    ],
)
def test_the_placeholder_has_several_names(config: dict[str, Any]) -> None:
    assert families.image_token(SimpleNamespace(**config)) == 5


def test_a_configuration_without_a_placeholder_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="names no placeholder of image tokens"):
        families.image_token(SimpleNamespace(vocabulary_map=None))


@pytest.mark.parametrize("name", ["ChameleonForConditionalGeneration", "Emu3ForConditionalGeneration"])
def test_a_vocabulary_names_the_placeholder(name: str) -> None:
    assert families.image_token(config_of(name)) == IMAGE_ID


def test_only_sliding_layers_have_a_window() -> None:
    family = families.find(build("Gemma3ForConditionalGeneration"))
    kinds = family.decoder.config.layer_types
    assert {"sliding_attention", "full_attention"} == set(kinds)
    assert [family.window(layer) for layer in range(len(kinds))] == [
        16 if kind == "sliding_attention" else None for kind in kinds
    ]


def test_a_window_that_the_decoder_does_not_apply_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache reads the window from the configuration, the masks of this decoder do not."""
    name = "Qwen3OmniMoeThinkerForConditionalGeneration"
    monkeypatch.setitem(tiny_classes.EXTRA_TEXT, name, {"sliding_window": 16})
    with pytest.raises(UnsupportedModelError, match="does not apply the sliding_window of its configuration"):
        families.find(build(name))


def test_tensor_parallelism_is_refused(llava: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llava.model, "_tp_size", 1, raising=False)
    families.find(llava.model)
    monkeypatch.setattr(llava.model, "_tp_size", 2)
    with pytest.raises(UnsupportedModelError, match="each process ranks by its own heads"):
        families.find(llava.model, untested=True)


@pytest.mark.parametrize("name", ["block_indices", "indices", "position_bias"])
def test_an_unknown_tensor_of_an_attention_is_refused(name: str) -> None:
    states = torch.zeros(1, 2, 3, 4)
    attend(torch.nn.Module(), states, states, states, None, **{name: None})
    with pytest.raises(UnsupportedModelError, match=f"got attention with the tensor {name}"):
        attend(torch.nn.Module(), states, states, states, None, **{name: torch.zeros(3)})


def test_masks_and_tokens_follow_the_attention_to_its_device(llava: Subject) -> None:
    """The layer that ranks is on the meta device; mask and tokens are where the prompt begins."""
    family, ids = families.find(llava.model), torch.tensor([[3, IMAGE_ID, IMAGE_ID, 4, 5]])
    read = TokenSet.read(ids == IMAGE_ID, None, ids)
    prompt = PromptPass(
        read, plan(CONFIGS["paper-like"], family), family.attends, lambda tokens: pytest.fail("no layout is read")
    )
    arguments = {"attention_mask": torch.ones(1, 1, 5, 5, dtype=torch.bool).tril()}
    prompt.enter(1, torch.zeros(1, 5, 8), arguments)
    states = torch.zeros(1, 4, 5, 12, device="meta")
    attend(torch.nn.Module(), states, states, states, None, **{OBSERVER: arguments[OBSERVER]})
    ranked = prompt._attention_inputs["received"]
    assert ranked.device.type == "meta" and ranked.shape == (1, 5)
