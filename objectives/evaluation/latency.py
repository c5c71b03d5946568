"""Measure how long a configuration takes on this device."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import himap
from himap import PruningConfig
from objectives.evaluation.evaluator import Evaluator


@dataclass(frozen=True)
class Latency:
    """Milliseconds per prompt at batch size 1: median and quartiles over `n` timed prompts."""

    median: float
    low: float
    high: float
    n: int


@torch.inference_mode()
def measure(evaluator: Evaluator, config: PruningConfig, repeats: int = 5) -> Latency:
    """Time the first new token of single prompts (prefill with cached image features), after one warm-up.

    On CUDA the device is synchronized around each timing.
    """
    model = evaluator.loaded.model
    prompts = [evaluator.prompt(i % len(evaluator.questions)) for i in range(repeats)]
    times = []
    with himap.prune(model, config):
        for prompt in (prompts[0], *prompts):
            _synchronize(model.device)
            start = time.perf_counter()
            model.generate(**prompt, max_new_tokens=1, do_sample=False)
            _synchronize(model.device)
            times.append(1e3 * (time.perf_counter() - start))
    low, median, high = np.quantile(times[1:], [0.25, 0.5, 0.75])
    return Latency(float(median), float(low), float(high), repeats)


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or that of the CPU with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_name()}, {torch.get_num_threads()} thread(s)"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
