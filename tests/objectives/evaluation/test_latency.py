"""Latency: what is timed, and in which order its figures come."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from himap import PruningConfig
from objectives.benchmarks import benchmark
from objectives.data.embedded import embedded_questions
from objectives.evaluation import latency
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.features import takes_features
from objectives.evaluation.models import LoadedModel


@pytest.fixture(scope="module")
def evaluator(minis: dict[str, LoadedModel]) -> Evaluator:
    pope = benchmark("pope")
    return Evaluator(minis["llava-mini"], pope, embedded_questions(pope, "validation", 3))


def test_quartiles_are_ordered(evaluator: Evaluator) -> None:
    median, low, high = latency.measure(evaluator, PruningConfig.paper(), repeats=4)
    assert 0 < low <= median <= high


def test_the_figures_of_known_times(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warm-up of 90 ms, then 10, 40, 20, 30 and 50 ms: the warm-up is left out, the median is 30."""
    clock, durations = [0.0], iter([0.09, 0.01, 0.04, 0.02, 0.03, 0.05])
    calls: list[dict[str, Any]] = []

    def generate(**inputs: Any) -> None:
        calls.append(inputs)
        clock[0] += next(durations)

    monkeypatch.setattr(evaluator.loaded.model, "generate", generate)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])
    times = latency.measure(evaluator, PruningConfig.dense(), repeats=5)
    assert times == pytest.approx((30, 20, 40))
    assert [len(inputs["input_ids"]) for inputs in calls] == [1] * 6
    seen_before = takes_features(evaluator.loaded.model)
    assert all(("pixel_values" not in inputs) == seen_before for inputs in calls)
    assert all(inputs["max_new_tokens"] == 1 for inputs in calls)


def test_a_cpu_says_its_name_and_threads() -> None:
    name = latency.device_name(torch.device("cpu"))
    assert name.endswith(f", {torch.get_num_threads()} thread(s)")
    assert len(name) > len(", 1 thread(s)")
