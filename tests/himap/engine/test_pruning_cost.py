"""The FLOPs of a pruned prefill, counted by PyTorch, against the formula."""

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


def count_flops(model: Any, prompt: dict[str, torch.Tensor]) -> float:
    """Return the FLOPs of the decoder layers in one forward call."""
    # The counter does not count the fused attention of the CPU.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(**prompt)
    modules = [name for name in counter.get_flop_counts() if "language_model.layers." in name]
    layers = [name for name in modules if name.rsplit(".", 1)[1].isdigit()]
    assert len(layers) == LAYERS
    return float(sum(sum(counter.get_flop_counts()[name].values()) for name in layers))


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
        count = count_flops(subject.model, subject.prompts[0])
    shape = DecoderShape.from_config(subject.model.config)
    assert count == pytest.approx(flops(shape, pruning.image_tokens[0], pruning.text_tokens[0], config), rel=0.01)


def test_ranking_computes_only_its_query_rows(subject: Subject) -> None:
    """An attention criterion adds the products of its query rows and nothing else."""
    prompt, sizes = subject.prompts[0], {}
    for shallow, deep in (("random", "random"), ("instruction", "intra_column")):
        config = PruningConfig(2, 50, 4, 75, shallow, deep)
        with himap.prune(subject.model, config) as pruning:
            sizes[shallow] = count_flops(subject.model, prompt)
    n, text = pruning.image_tokens[0], pruning.text_tokens[0]
    instruction = text - 4 - ("image_grid_thw" in prompt)
    rows = instruction * (n + text) + (n // 2) * (n // 2 + text)
    assert sizes["instruction"] - sizes["random"] == 2 * rows * subject.model.config.text_config.hidden_size
