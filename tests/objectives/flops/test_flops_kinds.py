"""FLOPs of decoders with experts, latent attention, windows and recurrent layers, against PyTorch's counter."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import himap
from himap import PruningConfig, families
from objectives.flops import DecoderShape, flops, token_flops
from tests.himap.tiny_hybrids import HYBRIDS

SYSTEM, IMAGE, TEXT = 5, 150, 30
RECURRENT = {"qwen3_5", "qwen3_5_moe"}  # a generated token updates their state by sums, which the counter leaves out


@pytest.mark.parametrize("name", ["qwen3_5", "qwen3_5_moe", "lfm2_vl", "mistral4", "ministral3", "internvl_gpt_oss"])
def test_flops_agree_with_pytorchs_counter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = HYBRIDS[name][0]()
    model.set_experts_implementation("eager")  # the counter leaves grouped products out
    image = torch.zeros(1, IMAGE + TEXT, dtype=torch.bool)
    image[:, SYSTEM : SYSTEM + IMAGE] = True
    monkeypatch.setattr(families.family.Family, "image_mask", lambda self, inputs: image)
    shape = DecoderShape.from_config(model.config)
    embeds = torch.randn(1, IMAGE + TEXT, shape.hidden, generator=torch.Generator().manual_seed(0))
    k1, *_, k2 = families.find(model).cut_layers
    for config in (PruningConfig.dense(), PruningConfig(k1, 50, k2, 75, "random", "random")):
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), himap.prune(model, config):
            with FlopCounterMode(display=False) as counter:
                cache = model(inputs_embeds=embeds, use_cache=True, logits_to_keep=1).cache
            prefill = counter.get_total_flops()
            with FlopCounterMode(display=False) as counter:
                model(inputs_embeds=embeds[:, :1], cache=cache, logits_to_keep=1)
        assert flops(shape, IMAGE, TEXT, config) == pytest.approx(prefill, rel=0.01)
        counted = (
            replace(shape, kinds=tuple(replace(kind, state=0) for kind in shape.each)) if name in RECURRENT else shape
        )
        assert token_flops(counted, IMAGE, TEXT, config) == pytest.approx(counter.get_total_flops(), rel=0.01)
