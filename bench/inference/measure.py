"""Measure times in turns, so that drift affects all methods alike, and memory and the engine's share apart."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, pairwise
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

import himap
from bench.inference.methods import OURS, Method, with_cache
from bench.inference.subjects import Subject
from himap.engine import passes
from himap.engine.pruning import Pruning

Spread = dict[str, float]
Clock = Callable[[], float]


def spread(values: list[float]) -> Spread:
    """Return median and quartiles."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return {"median": float(median), "low": float(low), "high": float(high)}


def now(device: torch.device, clock: Clock) -> float:
    """Return the time in milliseconds at which the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 1e3 * clock()


def step_times(subject: Subject, method: Method, clock: Clock) -> list[float]:
    """Return the milliseconds of each step of one example."""
    device = subject.model.device
    with subject.features_given(method.prompts), method.context():
        ends = [now(device, clock)]
        for _ in islice(method.steps(), 1 if method.prefill_only else subject.new_tokens):
            ends.append(now(device, clock))
    return [end - start for start, end in pairwise(ends)]


@torch.inference_mode()
def in_turns(subject: Subject, methods: list[Method], rounds: int, clock: Clock) -> dict[str, list[list[float]]]:
    """Return the step times of every method in every round; each round begins with another method."""
    times: dict[str, list[list[float]]] = {method.name: [] for method in methods}
    for number in range(rounds):
        turn = number % len(methods)
        for method in methods[turn:] + methods[:turn]:
            times[method.name].append(step_times(subject, method, clock))
    return times


def tower_ms(subject: Subject, clock: Clock) -> float:
    """Return the milliseconds of the vision tower and the projector for one image, the median of three."""
    device, times = subject.model.device, []
    for _ in range(3):
        start = now(device, clock)
        subject.run_tower()
        times.append(now(device, clock) - start)
    return float(np.median(times))


@torch.inference_mode()
def memory(subject: Subject, method: Method) -> dict[str, float]:
    """Return the MiB of one prefill beyond the weights: the allocation peak, and the KV cache it leaves.

    A GPU's figure comes from PyTorch's allocator; a CPU's from the profiler's record of it, which does not include
    buffers inside the math library.
    """
    gc.collect()
    device = subject.model.device
    with subject.features_given(method.prompts), method.context():
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            cache = next(method.steps())
            peak = torch.cuda.max_memory_allocated(device) - before
        else:
            with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
                cache = next(method.steps())
            peak = _cpu_peak(record)
    return {"peak_mib": peak / 2**20, "cache_mib": _cache_bytes(cache) / 2**20}


def _cpu_peak(record: Any) -> int:
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
    return int(np.cumsum([0, *changes]).max())


def _cache_bytes(cache: Any) -> int:
    if cache is None:
        return 0
    layers = cache.layers.values() if isinstance(cache.layers, dict) else cache.layers
    pairs = [layer if isinstance(layer, tuple) else (layer.keys, layer.values) for layer in layers]
    return sum(tensor.nbytes for pair in pairs for tensor in pair)


class Meter:
    """Adds up the time of wrapped functions, by the device's clock where it has one."""

    def __init__(self, device: torch.device, clock: Clock) -> None:
        self._device, self._clock = device, clock
        self._spans: list[tuple[Any, Any]] = []

    def _now(self) -> Any:
        if self._device.type != "cuda":
            return self._clock()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time metered."""

        def metered(*args: Any, **kwargs: Any) -> Any:
            start = self._now()
            result = function(*args, **kwargs)
            self._spans.append((start, self._now()))
            return result

        return metered

    def take(self) -> float:
        """Return the milliseconds since the last call, and reset."""
        now(self._device, self._clock)
        spans, self._spans = self._spans, []
        if self._device.type != "cuda":
            return 1e3 * sum(end - start for start, end in spans)
        return float(sum(start.elapsed_time(end) for start, end in spans))


@contextmanager
def _metered(scoring: Meter, engine: Meter) -> Iterator[None]:
    """Meter what a cut adds (rows, ranking, gathering) as scoring, and everything that himap runs as engine."""

    def metered(owner: Any, name: str, *meters: Meter) -> Any:
        function = getattr(owner, name)
        for meter in meters:
            function = meter.wrap(function)
        return mock.patch.object(owner, name, function)

    with (
        metered(passes, "attention_inputs", scoring, engine),
        metered(passes.PromptPass, "_cut", scoring),
        metered(Pruning, "before_layer", engine),
        metered(Pruning, "before_forward", engine),
    ):
        yield


@torch.inference_mode()
def shares(subject: Subject, batch: int, rounds: int, clock: Clock) -> dict[str, Spread]:
    """Return the parts of the pruned prefill's time that ranking and cutting take, and that all of himap takes."""
    device, prompt = subject.model.device, subject.prompt(batch)
    scoring, engine = Meter(device, clock), Meter(device, clock)
    parts: dict[str, list[float]] = {"scoring": [], "engine": []}
    with subject.features_given(batch), _metered(scoring, engine), himap.prune(subject.model, OURS):
        for _ in range(rounds):
            start = now(device, clock)
            next(with_cache(subject.model, prompt))
            whole = now(device, clock) - start
            parts["scoring"].append(scoring.take() / whole)
            parts["engine"].append(engine.take() / whole)
    return {name: spread(values) for name, values in parts.items()}
