"""FLOPs: the paper's figures, the true ones, and PyTorch's own counter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM, LlavaConfig, Qwen2_5_VLConfig

from himap import PruningConfig
from objectives.flops import DecoderShape, flops, paper_flops

LLAVA_7B = DecoderShape(4096, 11008, 32, 32, 32, 128)
LLAVA_13B = DecoderShape(5120, 13824, 40, 40, 40, 128)
QWEN_VL = DecoderShape(4096, 22016, 32, 32, 32, 128)
DENSE, FASTV, PAPER = PruningConfig.dense(), PruningConfig.fastv(), PruningConfig.paper()


@pytest.mark.parametrize(
    ("shape", "n", "config", "printed"),
    [
        (LLAVA_7B, 576, DENSE, "2.986"),
        (LLAVA_7B, 576, FASTV, "1.566"),
        (LLAVA_7B, 576, PAPER, "0.735"),
        (LLAVA_13B, 576, DENSE, "5.81"),
        (LLAVA_13B, 576, PruningConfig.fastv(k=3), "3.09"),
        (LLAVA_13B, 576, PAPER, "1.291"),
        (LLAVA_13B, 576, PruningConfig(3, 50, 8, 75), "1.3645"),
        (QWEN_VL, 448, DENSE, "3.600"),
        (QWEN_VL, 448, FASTV, "1.900"),
        (QWEN_VL, 448, PAPER, "0.893"),
        (DecoderShape(4096, 11008, 32, 32, 32, 128), 256, DENSE, "1.306"),
        (DecoderShape(4096, 11008, 32, 32, 32, 128), 256, FASTV, "0.690"),
        (DecoderShape(4096, 11008, 32, 32, 32, 128), 256, PAPER, "0.324"),
    ],
)
def test_the_papers_figures(shape: DecoderShape, n: int, config: PruningConfig, printed: str) -> None:
    digits = len(printed.split(".")[1])
    assert f"{paper_flops(shape, n, config) / 1e12:.{digits}f}" == printed


def test_true_flops_of_llava_7b() -> None:
    assert f"{flops(LLAVA_7B, 576, 0, DENSE) / 1e12:.2f}" == "7.63"
    for text, percent in ((0, "24.7"), (60, "31.6"), (170, "41.5")):
        ratio = flops(LLAVA_7B, 576, text, PAPER) / flops(LLAVA_7B, 576, text, DENSE)
        assert f"{100 * ratio:.1f}" == percent


def test_cuts_beyond_the_last_layer_cost_like_none() -> None:
    small = DecoderShape(8, 16, 2, 2, 2, 4)
    assert flops(small, 10, 3, PruningConfig(5, 0, 9, 0)) == flops(small, 10, 3, DENSE)
    assert flops(small, 10, 3, PruningConfig(1, 0, 9, 0)) == flops(small, 10, 3, DENSE)


def counted(config: LlamaConfig, lengths: list[tuple[int, int]]) -> float:
    """PyTorch's count of a decoder whose parts, of some layers each, see sequences of some length."""
    total = 0
    for layers, tokens in lengths:
        config.num_hidden_layers = layers
        with torch.device("meta"):
            model = LlamaForCausalLM._from_config(config, attn_implementation="sdpa")
            hidden = torch.empty(1, tokens, config.hidden_size)
            mask = torch.empty(1, 1, tokens, tokens, dtype=torch.bool)
        with FlopCounterMode(display=False) as counter:
            model.model(inputs_embeds=hidden, attention_mask=mask, use_cache=False)
        total += counter.get_total_flops()
    return float(total)


@pytest.mark.parametrize("kv_heads", [32, 8])
@pytest.mark.parametrize("config", [DENSE, PAPER])
def test_flops_agree_with_pytorchs_counter(config: PruningConfig, kv_heads: int) -> None:
    text = LlamaConfig(
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=kv_heads,
        vocab_size=8,
    )
    shape = DecoderShape.from_config(text)
    assert shape.layers == 32
    n1, n2 = config.kept(576)
    parts = [(config.k1, 576 + 60), (config.k2 - config.k1, n1 + 60), (32 - config.k2, n2 + 60)]
    assert flops(shape, 576, 60, config) == pytest.approx(counted(text, parts), rel=0.01)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (LlavaConfig(text_config={"model_type": "llama"}), LLAVA_7B),
        (
            Qwen2_5_VLConfig(
                text_config={
                    "hidden_size": 3584,
                    "intermediate_size": 18944,
                    "num_hidden_layers": 28,
                    "num_attention_heads": 28,
                    "num_key_value_heads": 4,
                }
            ),
            DecoderShape(3584, 18944, 28, 28, 4, 128),
        ),
    ],
)
def test_shapes_are_read_from_configurations(config: Any, shape: DecoderShape) -> None:
    assert DecoderShape.from_config(config) == shape
    assert DecoderShape.from_config(config.text_config) == shape
