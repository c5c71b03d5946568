"""One budget: images go before layers, then to the CPU, then are made again; answers stay the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from himap import PruningConfig
from objectives.benchmarks import benchmark
from objectives.data.embedded import embedded_questions
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.features import Features
from objectives.evaluation.memory import Memory
from objectives.evaluation.models import LoadedModel
from objectives.evaluation.prefix_cache import PrefixCache

CPU = torch.device("cpu")
CONFIG = PruningConfig(3, 50, 8, 75)


def numbers(count: int, value: float = 0.0) -> Tensor:
    return torch.full((count,), value)


def test_layers_make_room_for_images() -> None:
    memory = Memory(400)
    memory.keep_layer(("layer", 1), numbers(50))
    memory.keep_layer(("layer", 2), numbers(40))
    memory.keep_image(("a",), numbers(30))
    assert list(memory.layers) == [("layer", 2)] and memory.nbytes == 280
    memory.keep_layer(("layer", 3), numbers(71))  # images leave 70
    assert list(memory.layers) == [("layer", 2)]
    memory.keep_image(("b",), numbers(70))
    assert not memory.layers and memory.nbytes == 400
    memory.keep_image(("c",), numbers(30))
    assert memory.image(("a",), CPU) is None and memory.image(("c",), CPU) is not None


def test_images_without_room_move_to_the_cpu_and_back() -> None:
    memory = Memory(400, spill=400)
    for name, value in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        memory.keep_image((name,), numbers(60, value))
    assert memory.nbytes == 240
    for name, value in (("b", 2.0), ("c", 3.0)):
        found = memory.image((name,), CPU)
        assert found is not None and torch.equal(found, numbers(60, value))
    assert memory.image(("a",), CPU) is None  # the CPU's memory held one
    memory.keep_layer(("layer",), numbers(10))
    memory.release()
    assert memory.nbytes == 0 and memory.image(("c",), CPU) is not None
    memory.keep_image(("huge",), numbers(101))
    assert memory.image(("huge",), CPU) is None


@pytest.mark.parametrize("budget", [0, 2**17, 2**20])
@pytest.mark.parametrize("pixels", [False, True])
def test_answers_do_not_depend_on_the_budget(
    mini: LoadedModel, monkeypatch: pytest.MonkeyPatch, budget: int, pixels: bool
) -> None:
    if pixels:
        monkeypatch.setattr("objectives.evaluation.features.takes_features", lambda model: False)
    asked = embedded_questions(benchmark("textvqa"), "validation", 12)
    whole, tight = Memory(), Memory(budget)
    evaluators = [Evaluator(mini, benchmark("textvqa"), asked, 5, PrefixCache(memory)) for memory in (whole, tight)]
    for config in (CONFIG, PruningConfig.dense(), CONFIG):
        results = [evaluator.evaluate(config) for evaluator in evaluators]
        assert results[0] == results[1]
        assert tight.nbytes <= budget
    assert whole.nbytes > 2**20 > budget or budget == 2**20


def test_what_is_kept_is_not_made_again(mini: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    honest = Features._inputs

    def counted(self: Features, prompts: list[str], rows: list[list[str]]) -> dict[str, Tensor]:
        made.append(len(prompts))
        return honest(self, prompts, rows)

    monkeypatch.setattr(Features, "_inputs", counted)
    asked = embedded_questions(benchmark("pope"), "validation", 8)
    for memory, again in ((Memory(), 0), (Memory(0, spill=2**24), 0), (Memory(0), 8)):
        evaluator = Evaluator(mini, benchmark("pope"), asked, 4, PrefixCache(memory))
        made.clear()
        evaluator.evaluate(CONFIG)
        assert sum(made) == again
