"""Measure how long a configuration takes on this device."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import numpy as np
import torch

import himap
from himap import PruningConfig
from objectives.evaluation.evaluator import Evaluator


@torch.inference_mode()
def measure(evaluator: Evaluator, config: PruningConfig, repeats: int = 5) -> tuple[float, float, float]:
    """Time the first new token of single prompts (prefill with cached image features), after one warm-up.

    Returns:
        Milliseconds per prompt over `repeats` prompts: the median, and the lower and the upper quartile.
    """
    model = evaluator.loaded.model
    prompts = [evaluator.prompt(i % len(evaluator.questions)) for i in range(repeats)]
    times = []
    with himap.prune(model, config):
        for prompt in (prompts[0], *prompts):
            _synchronize(model.device)  # a GPU works on after the call returns
            start = time.perf_counter()
            model.generate(**prompt, max_new_tokens=1, do_sample=False)
            _synchronize(model.device)
            times.append(1e3 * (time.perf_counter() - start))
    median, low, high = np.quantile(times[1:], [0.5, 0.25, 0.75]).tolist()
    return median, low, high


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
