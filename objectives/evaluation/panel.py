"""Answer a few questions under many configurations: questions outside, configurations inside.

What configurations share (image, vision tower, layers in front of the first cut) is computed once for these questions,
as far as it fits the memory.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from himap import PruningConfig
from objectives.benchmarks import Benchmark, Question
from objectives.evaluation.batches import BATCH_SIZE
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.memory import Memory
from objectives.evaluation.models import LoadedModel
from objectives.evaluation.prefix_cache import PrefixCache

_BYTES = 2**30  # of one call, where it has no memory of others


@dataclass(frozen=True)
class PanelAnswers:
    """The result of one call.

    Attributes:
        scores: (configurations, questions), each in the order given.
        image_tokens, text_tokens: of each question's prompt.
        cpu_seconds: (configurations,) processor time of this process.
    """

    scores: np.ndarray
    image_tokens: tuple[int, ...]
    text_tokens: tuple[int, ...]
    cpu_seconds: np.ndarray


def answer(
    loaded: LoadedModel,
    benchmark: Benchmark,
    questions: Sequence[Question],
    configs: Sequence[PruningConfig],
    memory: Memory | None = None,
    batch_size: int = BATCH_SIZE,
) -> PanelAnswers:
    """Return the scores of every configuration on every question; raise as `Evaluator` does."""
    evaluator = Evaluator(loaded, benchmark, questions, batch_size, prefixes=PrefixCache(memory or Memory(_BYTES)))
    scores = np.empty((len(configs), len(questions)))
    seconds = np.empty(len(configs))
    for index in sorted(range(len(configs)), key=lambda i: _first_cut(configs[i])):
        start = time.process_time()
        scores[index] = evaluator.evaluate(configs[index]).scores
        seconds[index] = time.process_time() - start
    return PanelAnswers(scores, *evaluator.tokens(), seconds)


def _first_cut(config: PruningConfig) -> int:
    return config.cuts[0].layer if config.cuts else 0
