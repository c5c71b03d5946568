"""FLOPs against PyTorch's own counter, on the genuine model classes, pruned by the engine itself.

At 7B and 13B everything runs on the meta device, where tensors have shapes and no values. The `random`
criterion ranks by token numbers, which stay on the CPU, so that the engine can prune a model without values.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration

import himap
from himap import PruningConfig, families
from objectives.flops import DecoderShape, flops, token_flops
from objectives.flops.shapes import FULL_SIZE

IMAGE, TEXT, SYSTEM = 576, 170, 35
DENSE = PruningConfig.dense()
PAPER = PruningConfig(2, 50, 8, 75, "random", "random")
FASTV = PruningConfig(3, 50, 4, 0, "random")


def llava(shape: DecoderShape) -> Any:
    vision = CLIPVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=28
    )
    text = {
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "vocab_size": shape.vocabulary,
    }
    config = LlavaConfig(vision_config=vision, text_config=text)
    assert DecoderShape.from_config(config) == shape
    return LlavaForConditionalGeneration._from_config(config, attn_implementation="sdpa").eval()


def counted(model: Any, config: PruningConfig, device: str) -> tuple[int, int]:
    """PyTorch's FLOPs of the prefill and of the next token, at the last position as `generate` asks."""
    embeds = torch.zeros(1, IMAGE + TEXT, model.config.text_config.hidden_size, device=device)
    totals = []
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), himap.prune(model, config) as pruning:
        with FlopCounterMode(display=False) as counter:
            output = model(inputs_embeds=embeds, use_cache=True, logits_to_keep=1)
        totals.append(counter.get_total_flops())
        with FlopCounterMode(display=False) as counter:
            model(inputs_embeds=embeds[:, :1], past_key_values=output.past_key_values, logits_to_keep=1)
        totals.append(counter.get_total_flops())
        assert pruning.kept == [config.kept(IMAGE)]
    return totals[0], totals[1]


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt comes as embeddings; where its image tokens are is said here."""
    image = torch.zeros(1, IMAGE + TEXT, dtype=torch.bool)
    image[:, SYSTEM : SYSTEM + IMAGE] = True
    monkeypatch.setattr(families.family.Family, "image_mask", lambda self, inputs: image)


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("config", [DENSE, FASTV, PAPER], ids=["dense", "fastv", "paper"])
@pytest.mark.parametrize("name", ["llava-7b", "llava-13b"])
def test_flops_at_full_size_agree_with_pytorchs_counter(name: str, config: PruningConfig) -> None:
    shape = FULL_SIZE[name].shape
    with torch.device("meta"):
        model = llava(shape)
    prefill, token = counted(model, config, "meta")
    assert flops(shape, IMAGE, TEXT, config) == pytest.approx(prefill, rel=0.001)
    assert token_flops(shape, IMAGE, TEXT, config) == pytest.approx(token, rel=0.001)


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("config", [DENSE, PruningConfig(1, 50, 3, 75, "random", "random")])
def test_flops_of_a_small_model_are_the_counters_to_the_last_one(config: PruningConfig) -> None:
    shape = DecoderShape(48, 96, 4, 4, 2, 12, 64)
    prefill, token = counted(llava(shape), config, "cpu")
    assert flops(shape, IMAGE, TEXT, config) == prefill
    assert token_flops(shape, IMAGE, TEXT, config) == token
