"""One measurement: everything a trial's row says about what a configuration costs and earns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from himap import PruningConfig
from objectives.data.source import QuestionSet, Source, load_questions
from objectives.evaluation import latency
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.models import LoadedModel, load
from objectives.evaluation.prefix_cache import PrefixCache
from objectives.flops import DecoderShape, flops, flops_ratio, paper_flops
from search.workers.racing import Race, Rival


class TrialRunner:
    """A loaded model with an evaluator per benchmark, made when first needed and then kept.

    Args:
        prefix_bytes: memory for decoder layers that do not depend on the configuration.
        asked: questions by benchmark; one that is not there has its embedded ones, `n_questions` of `split`.
    """

    def __init__(
        self,
        source: str,
        split: str,
        n_questions: int,
        prefix_bytes: int = 0,
        asked: Mapping[str, QuestionSet] | None = None,
    ) -> None:
        torch.set_num_threads(1)  # a worker is one core; more threads would fight with the other workers
        self.loaded: LoadedModel = load(source)
        self.shape = DecoderShape.from_config(self.loaded.model.config)
        self._split, self._n = split, n_questions
        self._asked = asked or {}
        self._prefixes = PrefixCache(prefix_bytes)
        self._evaluators: dict[str, Evaluator] = {}

    def evaluator(self, name: str) -> Evaluator:
        if name not in self._evaluators:
            asked = self._asked.get(name) or load_questions(Source(name), self._split, self._n)
            self._evaluators[name] = Evaluator(self.loaded, asked.benchmark, asked.questions, prefixes=self._prefixes)
        return self._evaluators[name]

    def measure(self, name: str, config: PruningConfig, rivals: Sequence[Rival] = ()) -> dict[str, Any]:
        """The measured fields of a `storage.records.Trial`, but for latency.

        With rivals it may be stopped, and says so.
        """
        start = time.perf_counter()
        evaluator = self.evaluator(name)
        spent = costs(self.shape, *evaluator.tokens(), config)
        race = None
        if rivals and not evaluator.benchmark.graded:
            groups = [q.group or i for i, q in enumerate(evaluator.questions)]
            race = Race(rivals, spent["flops"], spent["paper_flops"], groups)
        result = evaluator.evaluate(config, race)
        accuracy = result.accuracy
        stopped = {"state": "pruned", "reason": race.reason} if race is not None and race.reason else {}
        return {
            **spent,
            **stopped,
            "accuracy": accuracy.mean,
            "accuracy_low": accuracy.low,
            "accuracy_high": accuracy.high,
            "n": result.answered,
            "scores": result.scores,
            "metrics": result.metrics,
            "device": latency.device_name(self.loaded.device),
            "seconds": time.perf_counter() - start,
        }

    def time(self, name: str, config: PruningConfig) -> dict[str, Any]:
        """Fields of a `storage.records.Latency`; only for when nothing else runs on the device."""
        timed = latency.measure(self.evaluator(name), config)
        device = latency.device_name(self.loaded.device)
        return {"median": timed.median, "low": timed.low, "high": timed.high, "device": device}


def costs(shape: DecoderShape, image: Sequence[int], text: Sequence[int], config: PruningConfig) -> dict[str, float]:
    """Mean token counts and FLOPs per question, of prompts with these image and text tokens."""
    prompts = list(zip(image, text, strict=True))
    kept = [config.kept(n) for n in image]
    return {
        "image_tokens": float(np.mean(image)),
        "tokens_after_k1": float(np.mean([after for after, _ in kept])),
        "tokens_after_k2": float(np.mean([after for _, after in kept])),
        "text_tokens": float(np.mean(text)),
        "paper_flops": float(np.mean([paper_flops(shape, n, config) for n in image])),
        "flops": float(np.mean([flops(shape, n, words, config) for n, words in prompts])),
        "flops_ratio": flops_ratio(shape, image, text, config),
    }
