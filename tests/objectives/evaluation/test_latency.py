"""Latency: what is timed, in which order, and how a speed-up comes from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

DENSE, PAPER = PruningConfig.dense(), PruningConfig.paper()


@pytest.fixture(scope="module")
def evaluator(minis: dict[str, LoadedModel]) -> Evaluator:
    pope = benchmark("pope")
    return Evaluator(minis["llava-mini"], pope, embedded_questions(pope, "validation", 3))


class Clock:
    """A clock that only the model's tokens move: `seconds(call, pruned, token)` each.

    `calls` holds each call of `generate`: whether it was pruned, and its arguments.
    """

    def __init__(
        self, evaluator: Evaluator, patch: pytest.MonkeyPatch, seconds: Callable[[int, bool, int], float]
    ) -> None:
        self.now, self.calls, self._pruned = 0.0, list[tuple[bool, dict[str, Any]]](), False
        self._seconds = seconds
        patch.setattr(evaluator.loaded.model, "generate", self.generate)
        patch.setattr(latency.time, "perf_counter", lambda: self.now)
        patch.setattr(latency.himap, "prune", self.prune)

    def generate(self, stopping_criteria: Any, **inputs: Any) -> None:
        self.calls.append((self._pruned, inputs))
        for token in range(inputs["max_new_tokens"]):
            self.now += self._seconds(len(self.calls) - 1, self._pruned, token)
            assert not stopping_criteria[0](None, None)

    @contextmanager
    def prune(self, *_: Any) -> Iterator[None]:
        self._pruned = True
        yield
        self._pruned = False


def test_dense_and_the_configuration_take_turns_on_the_same_prompts(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each repeat begins with the other one; the warm-up, of 9 s, is left out."""
    clock = Clock(evaluator, monkeypatch, lambda call, pruned, _: 9.0 if call < 2 else 0.01 if pruned else 0.02)
    (timing,) = latency.measure(evaluator, PAPER)
    assert (timing.figure, timing.batch, timing.repeats) == ("first_token", 1, 20)
    assert (timing.ms, timing.dense_ms) == (pytest.approx(10), pytest.approx(20))
    assert timing.speedup == timing.speedup_low == timing.speedup_high == pytest.approx(2)
    timed = clock.calls[2:]
    assert len(timed) == 40
    pairs = list(zip(timed[::2], timed[1::2], strict=True))
    assert [pair[0][0] for pair in pairs] == [True, False] * 10
    assert all(one[1]["input_ids"] is other[1]["input_ids"] for one, other in pairs)
    assert all("pixel_values" not in inputs and inputs["max_new_tokens"] == 1 for _, inputs in timed)


def test_drift_and_a_burst_change_no_speed_up(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device becomes three times slower meanwhile; the medians follow, their ratio within a repeat does not."""

    def seconds(call: int, pruned: bool, _: int) -> float:
        return (0.01 if pruned else 0.02) * (1 + call / 20) * (5 if 20 <= call < 24 else 1)

    Clock(evaluator, monkeypatch, seconds)
    (timing,) = latency.measure(evaluator, PAPER)
    assert timing.ms > 1.5 * 10
    assert timing.speedup == pytest.approx(2, rel=0.02)
    assert timing.speedup_low < 2 < timing.speedup_high
    assert timing.speedup_high / timing.speedup_low < 1.1


@pytest.mark.parametrize(("ms", "repeats"), [(20, 20), (99, 20), (130, 8), (300, 6), (5000, 6)])
def test_a_quick_prompt_gets_20_repeats_and_a_slow_one_no_fewer_than_6(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, ms: float, repeats: int
) -> None:
    Clock(evaluator, monkeypatch, lambda *_: ms / 1000)
    assert latency.measure(evaluator, PAPER)[0].repeats == repeats


def test_a_batch_adds_further_tokens_and_the_vision_tower(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(evaluator, monkeypatch, lambda _, pruned, token: (0.01 if pruned else 0.02) if not token else 0.005)
    timings = latency.measure(evaluator, PAPER, batch=5)
    figures = ("first_token", "output_token", "first_token_with_vision")
    assert [(t.figure, t.batch) for t in timings] == [(name, size) for size in (1, 5) for name in figures]
    assert [(round(t.ms, 6), round(t.speedup, 6)) for t in timings[:3]] == [(10, 2), (5, 1), (10, 2)]
    seen = {("pixel_values" in one, one["max_new_tokens"], len(one["input_ids"])) for _, one in clock.calls}
    assert seen == {(False, 5, 1), (True, 1, 1), (False, 5, 5), (True, 1, 5)}  # of 3 questions
    assert all(one["min_new_tokens"] == one["max_new_tokens"] for _, one in clock.calls)


def test_a_family_without_features_has_no_figure_without_vision(
    minis: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("features", "latency"):
        monkeypatch.setattr(f"objectives.evaluation.{module}.takes_features", lambda model: False)
    pope = benchmark("pope")
    evaluator = Evaluator(minis["llava-mini"], pope, embedded_questions(pope, "validation", 3))
    clock = Clock(evaluator, monkeypatch, lambda *_: 0.02)
    assert [t.figure for t in latency.measure(evaluator, PAPER)] == ["first_token_with_vision"]
    figures = [t.figure for t in latency.measure(evaluator, PAPER, batch=1)]
    assert figures == ["first_token_with_vision", "output_token"]
    assert all("pixel_values" in inputs for _, inputs in clock.calls)


def test_dense_is_timed_alone_and_is_exactly_as_fast(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(evaluator, monkeypatch, lambda call, *_: 0.02 + 0.001 * call)
    (timing,) = latency.measure(evaluator, PruningConfig(3, 0, 7, 0))
    assert timing.speedup == timing.speedup_low == timing.speedup_high == 1
    assert len(clock.calls) == 21 and not any(pruned for pruned, _ in clock.calls)


def test_a_batch_that_memory_cannot_hold_is_left_out(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(evaluator, monkeypatch, lambda *_: 0.02)

    def limited(**inputs: Any) -> None:
        if len(inputs["input_ids"]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        clock.generate(**inputs)

    monkeypatch.setattr(evaluator.loaded.model, "generate", limited)
    most = 1
    assert {t.batch for t in latency.measure(evaluator, PAPER, batch=5)} == {1}
    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        latency.measure(evaluator, PAPER, batch=5)


def test_a_real_model_is_timed_and_left_as_it_was(mini: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first token forced not to end the answer: every run has all its tokens."""
    monkeypatch.setattr(latency, "_MOST", 6)
    pope = benchmark("pope")
    evaluator = Evaluator(mini, pope, embedded_questions(pope, "validation", 3))
    before = evaluator.evaluate(PAPER)
    timings = latency.measure(evaluator, PAPER, batch=2)
    assert len(timings) == (6 if takes_features(mini.model) else 4)
    assert all(0 < t.speedup_low <= t.speedup <= t.speedup_high and t.ms > 0 for t in timings)
    assert evaluator.evaluate(PAPER) == before


def test_a_gpu_is_timed_by_its_own_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU: stand-ins say in which order they were used."""
    used: list[Any] = []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: str) -> None:
            used.append(stream)

        def elapsed_time(self, end: Event) -> float:
            return 12.5

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    monkeypatch.setattr(torch.cuda, "synchronize", used.append)
    device = torch.device("cuda", 1)
    start, end = latency._now([device]), latency._now([device])
    latency._synchronize([device])
    assert latency._milliseconds(start, end) == 12.5
    assert used == ["stream of cuda:1", "stream of cuda:1", device]


def test_a_cpu_says_its_name_and_threads() -> None:
    name = latency.device_name(torch.device("cpu"))
    assert name.endswith(f", {torch.get_num_threads()} thread(s)")
    assert len(name) > len(", 1 thread(s)")
