"""Measure configurations: everything that a trial's record says about cost and accuracy."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from himap import PruningConfig
from objectives.data.source import QuestionSet, Source, load_questions
from objectives.evaluation import latency
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.memory import Memory
from objectives.evaluation.models import AUTO, LoadedModel, load
from objectives.evaluation.panel import answer
from objectives.evaluation.prefix_cache import PrefixCache
from objectives.flops import DecoderShape, flops, flops_ratio, paper_flops
from search.workers.jobs import Panel
from search.workers.racing import Race, Rival
from storage import Latency
from storage.records import Measurement


class TrialRunner:
    """A loaded model with an evaluator per benchmark, made when first needed and then kept.

    Args:
        weights: folder or hub id of a checkpoint.
        memory_bytes: for images and decoder layers that do not depend on the configuration; on a GPU as much of the
            CPU's memory besides.
        questions: by benchmark; one that is not there has its embedded ones, `n_questions` of `split`.
        panels: questions of `answer` that are not embedded, by benchmark and split.
        dtype: see `objectives.evaluation.models.dtype_of`.
    """

    def __init__(
        self,
        weights: str,
        split: str,
        n_questions: int,
        memory_bytes: int = 0,
        questions: Mapping[str, QuestionSet] | None = None,
        panels: Mapping[tuple[str, str], QuestionSet] | None = None,
        dtype: str = AUTO,
    ) -> None:
        torch.set_num_threads(1)  # a worker is one core; more threads would compete with the other workers
        self.loaded: LoadedModel = load(weights, dtype=dtype)
        self.shape = DecoderShape.from_config(self.loaded.model.config)
        self._split, self._n = split, n_questions
        self._questions = questions or {}
        self._prefixes = PrefixCache(Memory(memory_bytes, memory_bytes if torch.cuda.is_available() else 0))
        self._evaluators: dict[str, Evaluator] = {}
        self._panels = dict(panels or {})

    def evaluator(self, name: str) -> Evaluator:
        """Return the benchmark's evaluator."""
        if name not in self._evaluators:
            chosen = self._questions.get(name) or load_questions(Source(name), self._split, self._n)
            evaluator = Evaluator(self.loaded, chosen.benchmark, chosen.questions, prefixes=self._prefixes)
            self._evaluators[name] = evaluator
        return self._evaluators[name]

    def measure(self, benchmark: str, config: PruningConfig, rivals: Sequence[Rival] = ()) -> tuple[Measurement, str]:
        """Return the measurement without latency, and why it was pruned; "" where it was measured to its end."""
        start = time.perf_counter()
        evaluator = self.evaluator(benchmark)
        spent = costs(self.shape, *evaluator.tokens(), config)
        race = None
        if rivals and not evaluator.benchmark.graded:
            groups = [q.group or i for i, q in enumerate(evaluator.questions)]
            race = Race(rivals, spent.flops, spent.paper_flops, groups)
        result = evaluator.evaluate(config, race)
        measurement = replace(
            spent,
            accuracy=result.accuracy.mean,
            accuracy_low=result.accuracy.low,
            accuracy_high=result.accuracy.high,
            n=result.answered,
            scores=result.scores,
            metrics=result.metrics,
            device=latency.device_name(*self.loaded.devices),
            seconds=time.perf_counter() - start,
        )
        return measurement, race.reason if race is not None else ""

    def answer(self, benchmark: str, panel: Panel) -> np.ndarray:
        """Return the scores of a panel, (configurations, questions); what it prepared is dropped at once."""
        chosen = self._panels.get((benchmark, panel.split))
        if chosen is None or (not chosen.digest and len(chosen.questions) < panel.stop):  # embedded, without end
            chosen = load_questions(Source(benchmark), panel.split, 2 * panel.stop)
            self._panels[benchmark, panel.split] = chosen
        asked = chosen.questions[panel.start : panel.stop]
        return answer(self.loaded, chosen.benchmark, asked, panel.configs, self._prefixes.memory).scores

    def time(self, benchmark: str, config: PruningConfig, batch: int | None = None) -> Latency:
        """Return the latency; with a `batch` all figures of `latency.measure`. No other job may run on the device."""
        device = latency.device_name(*self.loaded.devices)
        return Latency.of(latency.measure(self.evaluator(benchmark), config, batch), device)


def costs(shape: DecoderShape, image: Sequence[int], text: Sequence[int], config: PruningConfig) -> Measurement:
    """Return the costs alone, of prompts with these image and text tokens."""
    prompts = list(zip(image, text, strict=True))
    kept = [config.kept(n) for n in image]
    return Measurement(
        image_tokens=float(np.mean(image)),
        tokens_after_k1=float(np.mean([after for after, _ in kept])),
        tokens_after_k2=float(np.mean([after for _, after in kept])),
        text_tokens=float(np.mean(text)),
        paper_flops=float(np.mean([paper_flops(shape, n, config) for n in image])),
        flops=float(np.mean([flops(shape, n, words, config) for n, words in prompts])),
        flops_ratio=flops_ratio(shape, image, text, config),
    )


def runner_maker(
    weights: str,
    split: str,
    n_questions: int,
    memory_mb: int,
    questions: Mapping[str, QuestionSet],
    panels: Mapping[tuple[str, str], QuestionSet],
    dtype: str = AUTO,
) -> Callable[[], TrialRunner]:
    """Return what makes a worker's runner, wherever it starts: workers have folders of their own."""
    weights = str(Path(weights).resolve()) if Path(weights).is_dir() else weights
    return partial(TrialRunner, weights, split, n_questions, memory_mb * 2**20, questions, panels, dtype)
