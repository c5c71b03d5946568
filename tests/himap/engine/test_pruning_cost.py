"""What a pruned prefill really multiplies, counted by PyTorch, against the formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import himap
from himap import PruningConfig
from objectives.flops import DecoderShape, flops
from tests.himap.tiny_models import LAYERS, Subject


def counted(model: Any, prompt: dict[str, torch.Tensor]) -> float:
    """FLOPs of the decoder layers in one forward; the counter does not see into the CPU's fused attention."""
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(**prompt)
    layer = [name for name in counter.get_flop_counts() if "language_model.layers." in name]
    whole = [name for name in layer if name.rsplit(".", 1)[1].isdigit()]
    assert len(whole) == LAYERS
    return float(sum(sum(counter.get_flop_counts()[name].values()) for name in whole))


@pytest.mark.parametrize(
    "config",
    [
        PruningConfig.dense(),
        PruningConfig(2, 50, 4, 75, "random", "random"),
        PruningConfig(1, 30, 5, 100, "random", "random"),
    ],
)
def test_decoder_layers_cost_what_the_formula_says(subject: Subject, config: PruningConfig) -> None:
    with himap.prune(subject.model, config) as pruning:
        count = counted(subject.model, subject.prompts[0])
    shape = DecoderShape.from_config(subject.model.config)
    assert count == pytest.approx(flops(shape, pruning.image_tokens[0], pruning.text_tokens[0], config), rel=0.01)


def test_ranking_computes_only_its_rows(subject: Subject) -> None:
    """The attention criteria add the products of their query rows and nothing else."""
    prompt, sizes = subject.prompts[0], {}
    for shallow, deep in (("random", "random"), ("instruction", "intra_column")):
        config = PruningConfig(2, 50, 4, 75, shallow, deep)
        with himap.prune(subject.model, config) as pruning:
            sizes[shallow] = counted(subject.model, prompt)
    n, text = pruning.image_tokens[0], pruning.text_tokens[0]
    instruction = text - 4 - ("image_grid_thw" in prompt)
    rows = instruction * (n + text) + (n // 2) * (n // 2 + text)
    assert sizes["instruction"] - sizes["random"] == 2 * rows * subject.model.config.text_config.hidden_size
