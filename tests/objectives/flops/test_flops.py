"""FLOPs: the paper's figures, shapes from configurations, and the arithmetic that needs no counter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from transformers import LlavaConfig, Qwen2_5_VLConfig

from himap import PruningConfig
from objectives.flops import DecoderShape, flops, flops_ratio, paper_flops, token_flops
from objectives.flops.shapes import FULL_SIZE

LLAVA_7B, LLAVA_13B, QWEN_VL = (FULL_SIZE[name].shape for name in ("llava-7b", "llava-13b", "qwenvl-7b"))
DENSE, FASTV, PAPER = PruningConfig.dense(), PruningConfig.fastv(), PruningConfig.paper()
assert FULL_SIZE["qwenvl-7b"].paper is not None
QWEN_VL_OF_THE_PAPER, N_OF_THE_PAPER = FULL_SIZE["qwenvl-7b"].paper


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
        (QWEN_VL_OF_THE_PAPER, N_OF_THE_PAPER, DENSE, "3.600"),
        (QWEN_VL_OF_THE_PAPER, N_OF_THE_PAPER, FASTV, "1.900"),
        (QWEN_VL_OF_THE_PAPER, N_OF_THE_PAPER, PAPER, "0.893"),
        (QWEN_VL, 256, DENSE, "1.306"),
        (QWEN_VL, 256, FASTV, "0.690"),
        (QWEN_VL, 256, PAPER, "0.324"),
    ],
)
def test_the_papers_figures(shape: DecoderShape, n: int, config: PruningConfig, printed: str) -> None:
    digits = len(printed.split(".")[1])
    assert f"{paper_flops(shape, n, config) / 1e12:.{digits}f}" == printed


def test_true_flops_of_llava_7b() -> None:
    layers = replace(LLAVA_7B, vocabulary=0)
    assert f"{flops(layers, 576, 0, DENSE) / 1e12:.2f}" == "7.63"
    for text, percent in ((0, "24.7"), (60, "31.6"), (170, "41.5")):
        ratio = flops_ratio(layers, [576], [text], PAPER)
        assert f"{100 * ratio:.1f}" == percent
        assert ratio < flops_ratio(LLAVA_7B, [576], [text], PAPER) < ratio + 1e-4


def test_the_ratio_of_several_prompts_is_that_of_their_sums() -> None:
    own = flops(LLAVA_7B, 576, 60, PAPER) + flops(LLAVA_7B, 100, 5, PAPER)
    dense = flops(LLAVA_7B, 576, 60, DENSE) + flops(LLAVA_7B, 100, 5, DENSE)
    assert flops_ratio(LLAVA_7B, [576, 100], [60, 5], PAPER) == own / dense


def test_a_layer_by_hand() -> None:
    shape = DecoderShape(hidden=8, intermediate=16, layers=3, heads=4, kv_heads=2, head_dim=3, vocabulary=10)
    head, queries, keys = 2 * 8 * 10, 12, 6

    def layer(new: int, seen: int) -> int:
        return 2 * new * 8 * (2 * queries + 2 * keys) + 4 * new * seen * queries + 6 * new * 8 * 16

    config = PruningConfig(1, 50, 2, 50)
    assert flops(shape, 8, 5, config) == layer(13, 13) + layer(9, 9) + layer(7, 7) + head
    assert token_flops(shape, 8, 5, config) == layer(1, 14) + layer(1, 10) + layer(1, 8) + head
    assert token_flops(shape, 8, 5, config, token=4) == layer(1, 17) + layer(1, 13) + layer(1, 11) + head


def test_cuts_beyond_the_last_layer_cost_like_none() -> None:
    small = DecoderShape(8, 16, 2, 2, 2, 4)
    assert flops(small, 10, 3, PruningConfig(5, 0, 9, 0)) == flops(small, 10, 3, DENSE)
    assert flops(small, 10, 3, PruningConfig(1, 0, 9, 0)) == flops(small, 10, 3, DENSE)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (LlavaConfig(text_config={"model_type": "llama", "vocab_size": 32064}), LLAVA_7B),
        (
            Qwen2_5_VLConfig(
                text_config={
                    "hidden_size": 3584,
                    "intermediate_size": 18944,
                    "num_hidden_layers": 28,
                    "num_attention_heads": 28,
                    "num_key_value_heads": 4,
                    "vocab_size": 152064,
                }
            ),
            FULL_SIZE["qwen2.5-vl-7b"].shape,
        ),
    ],
)
def test_shapes_are_read_from_configurations(config: Any, shape: DecoderShape) -> None:
    assert DecoderShape.from_config(config) == shape
    assert DecoderShape.from_config(config.text_config) == shape
