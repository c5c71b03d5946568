"""One measurement: everything a trial's row says about what a configuration costs and earns."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from himap import PruningConfig
from objectives import latency
from objectives.accuracy import Evaluation, Evaluator
from objectives.benchmarks import benchmark
from objectives.benchmarks.embedded import embedded_questions
from objectives.flops import DecoderShape, flops, flops_ratio, paper_flops
from objectives.models import LoadedModel, load


class Bench:
    """A loaded model with an evaluator per benchmark, made when first needed and then kept."""

    def __init__(self, source: str, split: str, n_questions: int) -> None:
        torch.set_num_threads(1)  # a worker is one core; more threads would fight with the other workers
        self.loaded: LoadedModel = load(source)
        self.shape = DecoderShape.from_config(self.loaded.model.config)
        self._split, self._n = split, n_questions
        self._evaluators: dict[str, Evaluator] = {}

    def evaluator(self, name: str) -> Evaluator:
        if name not in self._evaluators:
            chosen = benchmark(name)
            self._evaluators[name] = Evaluator(
                self.loaded, chosen, embedded_questions(chosen, self._split, self._n)
            )
        return self._evaluators[name]

    def measure(self, name: str, config: PruningConfig) -> dict[str, Any]:
        """The measured fields of a `storage.records.Trial`."""
        start = time.perf_counter()
        evaluator = self.evaluator(name)
        result = evaluator.evaluate(config)
        timed = latency.measure(evaluator, config)
        accuracy = result.accuracy
        return {
            **costs(self.shape, result, config),
            "accuracy": accuracy.mean, "accuracy_low": accuracy.low, "accuracy_high": accuracy.high,
            "n": len(result.scores), "scores": result.scores, "metrics": result.metrics,
            "latency_ms": timed.median, "latency_low_ms": timed.low, "latency_high_ms": timed.high,
            "device": latency.device_name(self.loaded.device),
            "seconds": time.perf_counter() - start,
        }  # fmt: skip


def costs(shape: DecoderShape, result: Evaluation, config: PruningConfig) -> dict[str, float]:
    """Mean token counts and FLOPs per question."""
    prompts = list(zip(result.image_tokens, result.text_tokens, strict=True))
    return {
        "image_tokens": float(np.mean(result.image_tokens)),
        "tokens_after_k1": float(np.mean(result.after_k1)),
        "tokens_after_k2": float(np.mean(result.after_k2)),
        "text_tokens": float(np.mean(result.text_tokens)),
        "paper_flops": float(np.mean([paper_flops(shape, image, config) for image, _ in prompts])),
        "flops": float(np.mean([flops(shape, image, text, config) for image, text in prompts])),
        "flops_ratio": flops_ratio(shape, result.image_tokens, result.text_tokens, config),
    }
