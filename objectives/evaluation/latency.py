"""Measure how long a configuration takes on this device, in turns with dense."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

import himap
from himap import PruningConfig
from himap.presets import Figure, Timing
from objectives.evaluation.evaluator import Evaluator, out_of_memory
from objectives.evaluation.features import takes_features
from objectives.evaluation.models import devices_of
from objectives.statistics.intervals import median_interval

TOKENS = 4  # behind the first, for the time per output token
_PROMPTS = 7  # single prompts that take turns; an odd number, so that dense is not always the first on one of them
_MOST, _LEAST = 20, 6  # repeats; fewer than 6 give no 95 % interval of a median
_QUICK_MS, _SPENT_MS = 100.0, 1000.0  # a quicker prompt gets all repeats, a slower one this much of dense's time

Prompt = dict[str, Any]
Times = dict[PruningConfig, list[list[float]]]


@torch.inference_mode()
def measure(evaluator: Evaluator, config: PruningConfig, batch: int | None = None) -> tuple[Timing, ...]:
    """Time a configuration and dense in turns, on the same prompts, after a warm-up of both.

    Whatever else slows the device down slows both alike, so their ratio within a repeat does not drift. Each repeat
    begins with the other one. Dense runs without `himap.prune`, as whoever does not prune has it.

    Args:
        batch: None times the first token of single prompts alone. A number also times the first token with the vision
            tower and the time per output token, all of them at batch 1 and at this one.

    Returns:
        One timing a figure. The first is the first token of single prompts: from image features, or from pixels where
        the family takes no features. A batch that does not fit into memory is left out.
    """
    model, timings = evaluator.loaded.model, list[Timing]()
    config = PruningConfig.dense() if config.is_dense else config
    for size in (1,) if batch is None else dict.fromkeys((1, batch)):
        try:
            for pixels, tokens in _runs(takes_features(model), batch is not None):
                times = _in_turns(model, config, _prompts(evaluator, size, pixels), tokens)
                timings += _timings(times, size, "first_token_with_vision" if pixels else "first_token")
        except (MemoryError, RuntimeError) as error:
            if size == 1 or not out_of_memory(error):
                raise
    return tuple(timings)


def _runs(takes: bool, full: bool) -> list[tuple[bool, int]]:
    """Return what to run: whether from pixels, and for how many tokens behind the first."""
    first = (not takes, TOKENS if full else 0)
    return [first, (True, 0)] if takes and full else [first]


def _prompts(evaluator: Evaluator, size: int, pixels: bool) -> list[Prompt]:
    """Return some single prompts, or one batch of that size."""
    n = len(evaluator.questions)
    orders = [[i] for i in range(min(n, _PROMPTS))] if size == 1 else [[i % n for i in range(size)]]
    return [evaluator.prompt(order, pixels=pixels) for order in orders]


def _in_turns(model: Any, config: PruningConfig, prompts: Sequence[Prompt], tokens: int) -> Times:
    """Return the milliseconds of the first and of `tokens` further tokens of each repeat."""
    sides = list(dict.fromkeys((PruningConfig.dense(), config)))
    times: Times = {side: [] for side in sides}
    for side in sides:
        _steps(model, side, prompts[0], tokens)
    repeat = 0
    while not _enough([first for first, *_ in times[sides[0]]]):
        for side in sides if repeat % 2 else reversed(sides):
            times[side].append(_steps(model, side, prompts[repeat % len(prompts)], tokens))
        repeat += 1
    return times


def _enough(first_ms: Sequence[float]) -> bool:
    if len(first_ms) < _LEAST or len(first_ms) % 2:  # each order as often
        return False
    return len(first_ms) >= _MOST or (float(np.median(first_ms)) >= _QUICK_MS and sum(first_ms) >= _SPENT_MS)


def _steps(model: Any, config: PruningConfig, prompt: Prompt, tokens: int) -> list[float]:
    """Return the milliseconds of the first and of `tokens` further tokens."""
    marks: list[Any] = []
    devices = devices_of(model)

    def mark(*_: Any, **__: Any) -> bool:
        marks.append(_now(devices))
        return False

    length = {"max_new_tokens": 1 + tokens, "min_new_tokens": 1 + tokens}
    with nullcontext() if config.is_dense else himap.prune(model, config):
        _synchronize(devices)
        mark()
        model.generate(**prompt, **length, do_sample=False, stopping_criteria=[mark])
        _synchronize(devices)
    return [_milliseconds(start, end) for start, end in pairwise(marks)]


def _timings(times: Times, batch: int, first: Figure) -> Iterator[Timing]:
    dense, *other = (np.array(steps) for steps in times.values())
    own = other[0] if other else dense
    yield _timing(first, batch, dense[:, 0], own[:, 0])
    if own.shape[1] > 1:
        yield _timing("output_token", batch, dense[:, 1:].mean(axis=1), own[:, 1:].mean(axis=1))


def _timing(figure: Figure, batch: int, dense: np.ndarray, own: np.ndarray) -> Timing:
    speedup, low, high = median_interval(dense / own)
    return Timing(
        figure=figure,
        batch=batch,
        ms=float(np.median(own)),
        dense_ms=float(np.median(dense)),
        speedup=speedup,
        speedup_low=low,
        speedup_high=high,
        repeats=len(own),
    )


def _now(devices: Sequence[torch.device]) -> Any:
    """Return a mark of this moment: on one GPU an event in its queue, which runs behind the host."""
    if len(devices) > 1 or devices[0].type != "cuda":
        _synchronize(devices)
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(devices[0]))
    return event


def _milliseconds(start: Any, end: Any) -> float:
    return 1e3 * (end - start) if isinstance(start, float) else float(start.elapsed_time(end))


def _synchronize(devices: Sequence[torch.device]) -> None:
    for device in devices:
        if device.type == "cuda":
            torch.cuda.synchronize(device)


def device_name(*devices: torch.device) -> str:
    """Return the name of the GPU or the GPUs, as "2x NVIDIA H100", or that of the CPU with the number of threads."""
    if devices[0].type != "cuda":
        return f"{_cpu_name()}, {torch.get_num_threads()} thread(s)"
    names = Counter(torch.cuda.get_device_name(device) for device in devices)
    return " and ".join(name if n == 1 else f"{n}x {name}" for name, n in names.items())


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
