"""Tokens, FLOPs, memory and hours of a search, from its model's configuration and its questions alone."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from himap import PruningConfig
from objectives.evaluation.batches import BATCH_SIZE, BATCH_TOKENS
from objectives.evaluation.checkpoints import Target
from objectives.evaluation.devices import Device
from objectives.evaluation.footprint import Footprint
from objectives.evaluation.prompt_check import PromptCheck, PromptSize
from search.config import SearchConfig
from search.inputs.baselines import baselines
from search.inputs.questions import StudyQuestions
from search.sampling.space import SearchSpace
from storage import Trial

_DRAWS = 100  # configurations that stand for the space
_HOUR = 3600.0


@dataclass(frozen=True)
class StudyEstimate:
    """What one study will need.

    Attributes:
        sizes: of its questions.
        new_tokens: of an answer at most.
        images: different ones.
        dense: FLOPs of a question, the mean.
        typical, cheapest: FLOPs of the space's median and cheapest configuration, as parts of dense's.
        vision: FLOPs of the vision tower for a question, the mean.
        once: dense answers that cost as much as encoding all images, where that is done once; 0 where it is not.
        answers: of each phase.
        work: dense answers that cost as much as the answers of each phase.
        seconds: of a dense answer on one worker.
        at_best: test questions, and the smallest margin (of 1) that they can certify; None where nothing is certified.
    """

    name: str
    sizes: tuple[PromptSize, ...]
    new_tokens: int
    images: int
    dense: float
    typical: float
    cheapest: float
    vision: float
    once: float
    answers: Mapping[str, int]
    work: Mapping[str, float]
    seconds: float
    at_best: tuple[int, float] | None


@dataclass(frozen=True)
class Estimate:
    """What a search will need.

    Attributes:
        footprint: of the checkpoint.
        device: that runs the workers.
        devices: of each worker.
        share: of the device's peak that the model reaches.
        memory: bytes of a worker by part.
        batch: prompts that fit beside the weights, at most `BATCH_SIZE`.
    """

    footprint: Footprint
    device: Device
    devices: int
    workers: int
    share: float
    memory: Mapping[str, float]
    batch: int
    studies: tuple[StudyEstimate, ...]

    @property
    def questions_per_hour(self) -> float:
        """Dense answers of all workers in an hour."""
        return self.workers * _HOUR / statistics.mean(study.seconds for study in self.studies)

    @property
    def hours(self) -> dict[str, float]:
        """Hours to the end of each phase from its begin, without timing of latencies."""
        each = self.workers * _HOUR
        phases = ("explore", "refine", "certify")
        return {phase: sum(s.seconds * s.work[phase] for s in self.studies) / each for phase in phases}

    def correction(self, trials: Iterable[tuple[str, Trial]]) -> float | None:
        """Return how many times as long as estimated dense took; None before it is measured.

        Args:
            trials: each with the name of its study.
        """
        by_name = {study.name: study for study in self.studies}
        measured = expected = 0.0
        for name, trial in trials:
            if trial.origin == "dense" and trial.complete and trial.seconds > 0:
                study = by_name[name]
                measured += trial.seconds
                expected += study.seconds * (trial.n + study.once)
        return measured / expected if expected else None


def estimate(
    config: SearchConfig,
    target: Target,
    check: PromptCheck,
    questions: Sequence[StudyQuestions],
    at_best: Mapping[str, tuple[int, float]],
    footprint: Footprint,
    device: Device,
    workers: int,
    share: float,
) -> Estimate:
    """Return what a search will need.

    Args:
        at_best: as `FurtherQuestions.at_best` returns it.
        share: part of the device's peak that the model is assumed to reach.
    """
    devices = config.gpus_of_a_worker
    sizes = {part.key: tuple(check.size(part.loaded.benchmark, q) for q in part.loaded.questions) for part in questions}
    tokens = {part.key: part.loaded.benchmark.max_new_tokens for part in questions}
    largest = [max(sizes[name], key=lambda size: size.image + size.text) for name in sizes]
    kept = {
        image: footprint.features_bytes(size)
        for part in questions
        for question, size in zip(part.loaded.questions, sizes[part.key], strict=True)
        for image in [question.images]
    }
    new = max(tokens.values())
    row_cache = max(footprint.cache_bytes(size, new) for size in largest)
    row_work = max(footprint.activation_bytes(size) for size in largest)
    budget = config.memory_mb * 2**20
    images = min(sum(kept.values()), budget)
    room = devices * device.memory - footprint.weights - budget
    longest = max(size.image + size.text for size in largest)
    batch = max(0, min(BATCH_SIZE, BATCH_TOKENS // longest, int(room // (row_cache + row_work))))
    rows = max(1, batch)
    memory = {
        "weights": float(footprint.weights),
        "images": float(images),
        "shared layers": float(budget - images),
        "KV cache": float(rows * row_cache),
        "activations": float(rows * row_work),
    }
    rate = share * device.flops, share * device.bandwidth, rows
    studies = tuple(
        _study(config, target, part, sizes[part.key], at_best.get(part.key), footprint, rate) for part in questions
    )
    return Estimate(footprint, device, devices, workers, share, memory, batch, studies)


def _study(
    config: SearchConfig,
    target: Target,
    part: StudyQuestions,
    sizes: tuple[PromptSize, ...],
    at_best: tuple[int, float] | None,
    footprint: Footprint,
    rate: tuple[float, float, int],
) -> StudyEstimate:
    new, counted = part.loaded.benchmark.max_new_tokens, Counter(sizes)

    def mean(of: PruningConfig) -> float:
        return sum(n * footprint.prompt_flops(size, of, new) for size, n in counted.items()) / len(sizes)

    dense = mean(PruningConfig.dense())
    space = SearchSpace(target.shape.layers, config.seed, cut_layers=target.cut_layers)
    rng = random.Random(0)
    typical = statistics.median(mean(space.draw(rng)) for _ in range(_DRAWS)) / dense
    k1, k2 = space.snapped(1, 2)
    known = [mean(one) / dense for _, one in baselines(target)][: config.trials]
    answers, refined = len(sizes) * config.trials, len(sizes) * (config.budget - config.trials)
    tests, margins = at_best[0] if at_best else 0, len(config.margins)
    vision = statistics.mean(footprint.image_flops(size) for size in sizes)
    images = len({question.images for question in part.loaded.questions})
    once = images * vision / dense if footprint.features else 0.0
    explored = len(sizes) * (sum(known) + (config.trials - len(known)) * typical)
    return StudyEstimate(
        part.key,
        sizes,
        new,
        images,
        dense,
        typical,
        mean(PruningConfig(k1, 100, k2, 100)) / dense,
        vision,
        once,
        {"explore": answers, "refine": refined, "certify": tests * (1 + margins)},
        {"explore": once + explored, "refine": refined * typical, "certify": tests * (1 + margins * typical)},
        _seconds(footprint, sizes, dense, new, rate),
        at_best,
    )


def _seconds(
    footprint: Footprint, sizes: Sequence[PromptSize], dense: float, new: int, rate: tuple[float, float, int]
) -> float:
    """Return the seconds of a dense answer: its arithmetic, and reading weights and cache for each further token."""
    flops, bandwidth, rows = rate
    cache = statistics.mean(footprint.cache_bytes(size, new) for size in sizes)
    reading = (new - 1) * (footprint.weights / rows + cache) / bandwidth
    return dense / flops + reading
