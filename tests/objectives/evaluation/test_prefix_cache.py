"""Kept layers change nothing but the time: the same bits with them and without, within the budget."""

from __future__ import annotations

import pytest
import torch

import himap
from himap import PruningConfig
from objectives.benchmarks import benchmark
from objectives.data.embedded import embedded_questions
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.memory import Memory
from objectives.evaluation.models import LoadedModel
from objectives.evaluation.prefix_cache import LayerRecord, PrefixCache

CONFIGS = [
    PruningConfig(3, 50, 8, 75),
    PruningConfig(3, 50, 8, 60, "instruction", "last_token"),  # cuts at the same layers
    PruningConfig(5, 40, 7, 50, "max_head", "key_norm"),  # goes deeper than what is kept
    PruningConfig(2, 75, 6, 50, "value_norm", "diversity"),  # lies within it
    PruningConfig(4, 0, 9, 80, "instruction", "intra_column"),  # one cut
    PruningConfig.dense(),
]
ASKED = [benchmark("textvqa"), benchmark("vqav2")]


def evaluator(mini: LoadedModel, cache: PrefixCache | None) -> Evaluator:
    questions = embedded_questions(benchmark("textvqa"), "validation", 12)
    return Evaluator(mini, benchmark("textvqa"), questions, 6, cache)


@torch.inference_mode()
def logits(one: Evaluator, cache: PrefixCache, config: PruningConfig) -> torch.Tensor:
    """All logits of the first batch, and of one decoding step behind it."""
    model, batch = one.loaded.model, one._batches[0][0]
    with himap.prune(model, config), cache.reusing(model, config) as begin:
        begin(("batch",))
        out = model.generate(
            **batch.arguments(), max_new_tokens=3, do_sample=False, output_logits=True, return_dict_in_generate=True
        )
    return torch.stack(out.logits)


def test_logits_are_the_same_to_the_bit(mini: LoadedModel) -> None:
    one, cache, none = evaluator(mini, None), PrefixCache(Memory(2**28)), PrefixCache(Memory(0))
    for config in (*CONFIGS, *CONFIGS):
        assert torch.equal(logits(one, cache, config), logits(one, none, config)), config
    assert cache.reused == (0 + 3 + 3 + 2 + 5) + (3 + 3 + 5 + 2 + 9)


def test_evaluations_are_the_same_and_layers_do_not_run(mini: LoadedModel) -> None:
    cache = PrefixCache(Memory(2**28))
    kept, plain = evaluator(mini, cache), evaluator(mini, None)
    for config in CONFIGS[:3]:
        assert kept.evaluate(config) == plain.evaluate(config)
    batches = sum(map(len, kept._batches))
    assert cache.reused == batches * (0 + 3 + 3)
    ran: list[int] = []
    hooks = [
        layer.self_attn.register_forward_hook(lambda *_, i=i: ran.append(i))
        for i, layer in enumerate(mini.model.model.language_model.layers)
    ]
    try:
        with himap.prune(mini.model, CONFIGS[2]), cache.reusing(mini.model, CONFIGS[2]) as begin:
            begin((kept._own, *kept._batches[0][0].order))
            kept.loaded.model.generate(**kept._batches[0][0].arguments(), max_new_tokens=1)
    finally:
        for hook in hooks:
            hook.remove()
    assert ran == list(range(5, len(mini.model.model.language_model.layers)))


def test_the_model_is_left_as_it_was_also_after_an_error(mini: LoadedModel) -> None:
    layers = mini.model.model.language_model.layers
    with (
        pytest.raises(RuntimeError),
        himap.prune(mini.model, CONFIGS[0]),
        PrefixCache(Memory(2**20)).reusing(mini.model, CONFIGS[0]),
    ):
        assert "forward" in vars(layers[0])
        raise RuntimeError
    assert not any("forward" in vars(layer) for layer in layers)


def test_the_least_recently_used_goes_first_and_the_budget_holds() -> None:
    def record(numbers: int) -> LayerRecord:
        empty = torch.zeros(0)
        return LayerRecord(torch.zeros(numbers), empty, empty, empty, 1.0)

    memory = Memory(400)  # 100 float32
    kept = memory.layers
    for name in ("a", "b", "c"):
        memory.keep_layer((name,), record(30))
    assert kept.get(("a",)) is not None
    memory.keep_layer(("d",), record(40))
    assert [name for name in "abcd" if (name,) in kept] == ["a", "c", "d"]
    assert kept.currsize == 400


def test_layers_larger_than_the_budget_run_each_time(mini: LoadedModel) -> None:
    cache = PrefixCache(Memory(1))
    one = evaluator(mini, cache)
    assert one.evaluate(CONFIGS[0]) == one.evaluate(CONFIGS[0])
    assert (cache.reused, cache.memory.nbytes) == (0, 0)


def test_without_a_budget_nothing_is_touched(mini: LoadedModel) -> None:
    with himap.prune(mini.model, CONFIGS[0]), PrefixCache(Memory(0)).reusing(mini.model, CONFIGS[0]):
        assert not any("forward" in vars(layer) for layer in mini.model.model.language_model.layers)


def test_benchmarks_that_share_a_cache_keep_their_answers(mini: LoadedModel) -> None:
    """Question by question, so that both have batches of the same numbers."""
    cache = PrefixCache(Memory(2**28))
    shared, alone = [
        [Evaluator(mini, asked, embedded_questions(asked, "validation", 4), 1, prefixes) for asked in ASKED]
        for prefixes in (cache, None)
    ]
    for config in (*CONFIGS, *CONFIGS[:2]):
        for one, other in zip(shared, alone, strict=True):
            assert one.evaluate(config) == other.evaluate(config)
    assert cache.reused
