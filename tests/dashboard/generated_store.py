"""Stores that look like those of a search, generated through the storage layer."""

from __future__ import annotations

import math
import random
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from himap import PruningConfig
from storage import Confirmation, Store, StudyKey, Trial

LAYERS, TOKENS, TEXT, WIDTH, QUESTIONS = 12, 144.0, 38.5, 192, 500
FIXED = 6
PHIS = ("instruction", "intra_column", "last_token", "random")
DEVICE = "cpu: 2 threads of Xeon"
START = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def study_key(benchmark: str = "pope", model: str = "qwenvl-mini", seed: int = 0, source: str = "") -> StudyKey:
    """Return the key of a study."""
    return StudyKey(model, "9f2c41d07be855aa", benchmark, "validation", QUESTIONS, seed, "himap-1", source)


def measured(number: int, origin: str, k1: int, r1: float, k2: int, r2: float, shallow: str, deep: str) -> Trial:
    """Return a plausible trial: its cost follows from token counts, its accuracy falls with what is lost early."""
    draw = random.Random(f"{k1} {r1} {k2} {r2} {shallow} {deep}")
    first = math.ceil(TOKENS * (1 - r1 / 100))
    second = math.ceil(first * (1 - r2 / 100))
    shares = [(k1, TOKENS), (k2 - k1, first), (LAYERS - k2, second)]
    flops = sum(n * (t + TEXT) * (24 * WIDTH**2 + 4 * WIDTH * (t + TEXT)) for n, t in shares)
    dense = LAYERS * (TOKENS + TEXT) * (24 * WIDTH**2 + 4 * WIDTH * (TOKENS + TEXT))
    paper = sum(n * (12 * t * WIDTH**2 + 2 * t * t * WIDTH) for n, t in shares)
    skill = {
        "instruction": 1.0,
        "last_token": 0.85,
        "intra_column": 0.6,
        "random": 0.25,
        "uniform": 0.3,
        "downsample": 0.35,
    }
    loss = (1 - first / TOKENS) ** 2 * (1.2 - skill[shallow]) * 0.5 * (1 - k1 / LAYERS) ** 1.5
    loss += (1 - second / TOKENS) ** 3 * (1.3 - skill[deep]) * 0.25 * (1 - k2 / LAYERS) ** 1.2
    accuracy = round(QUESTIONS * min(1, max(0.4, 0.93 - loss + draw.gauss(0, 0.006)))) / QUESTIONS
    half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / QUESTIONS)
    latency = 4 + 30 * flops / dense + draw.random()
    return Trial(
        number=number,
        state="complete",
        origin=origin,
        config=PruningConfig(k1, r1, k2, r2, shallow, deep, 0),
        image_tokens=TOKENS,
        tokens_after_k1=first,
        tokens_after_k2=second,
        text_tokens=TEXT,
        paper_flops=paper,
        flops=flops,
        flops_ratio=flops / dense,
        accuracy=accuracy,
        accuracy_low=accuracy - half,
        accuracy_high=min(1, accuracy + half),
        n=QUESTIONS,
        latency_ms=latency,
        latency_low_ms=latency * 0.97,
        latency_high_ms=latency * 1.05,
        dense_latency_ms=34.5,
        device=DEVICE,
        seconds=4.2,
        commit="3ee45d2",
        versions={"torch": "2.13.0"},
        metrics={"f1": accuracy},
        created_at=START + timedelta(seconds=4 * number),
        scores=drawn_scores(accuracy, draw),
    )


def with_criterion(config: PruningConfig, name: str) -> PruningConfig:
    """Return the configuration with a shallow criterion that only the process of its search knows."""
    config = copy(config)
    object.__setattr__(config, "phi_shallow", name)
    return config


def drawn_scores(accuracy: float, draw: random.Random) -> tuple[float, ...]:
    """Return one score per question with that mean, in random order."""
    right = round(accuracy * QUESTIONS)
    scores = [1.0] * right + [0.0] * (QUESTIONS - right)
    draw.shuffle(scores)
    return tuple(scores)


def pruned(number: int, rival: int = 2, n: int = 96) -> Trial:
    """Return a pruned trial, with an estimate on `n` questions."""
    trial = measured(number, "sampler", 2, 88.0, 5, 60.0, "random", "last_token")
    reason = f"less accurate than trial {rival}, which costs no more, after {n} of {QUESTIONS} questions"
    scores = (*trial.scores[:n], *[math.nan] * (QUESTIONS - n))
    return replace(trial, state="pruned", reason=reason, n=n, scores=scores)


def confirmation(trial: Trial, dense: Trial) -> Confirmation:
    """Return a held-out measurement of a trial, a little below its estimate."""
    accuracy, difference = trial.accuracy - 0.004, trial.accuracy - dense.accuracy - 0.004
    return Confirmation(
        config=trial.config,
        n_questions=2000,
        n=2000,
        accuracy=accuracy,
        accuracy_low=accuracy - 0.01,
        accuracy_high=accuracy + 0.01,
        dense_accuracy=dense.accuracy,
        difference=difference,
        difference_low=difference - 0.005,
        difference_high=difference + 0.005,
        trial=trial.number,
        flops=trial.flops,
        flops_ratio=trial.flops_ratio,
        device=DEVICE,
        created_at=START,
        latency_ms=trial.latency_ms,
    )


def failed(number: int, reason: str = "out of memory at layer 3") -> Trial:
    """Return a failed trial."""
    config = PruningConfig(2, 50.0, 8, 75.0)
    return Trial(number=number, state="failed", origin="sampler", config=config, reason=reason, created_at=START)


def searched(count: int, seed: int = 0) -> list[Trial]:
    """Return the trials of a search: the baselines first, then draws; every fortieth fails."""
    draw = random.Random(seed)
    trials = [
        measured(0, "dense", 1, 0.0, 2, 0.0, "instruction", "intra_column"),
        measured(1, "fastv", 2, 50.0, 3, 0.0, "last_token", "intra_column"),
        measured(2, "paper", 2, 50.0, 8, 75.0, "instruction", "intra_column"),
        measured(3, "random", 2, 50.0, 8, 75.0, "random", "random"),
        measured(4, "uniform", 2, 50.0, 8, 75.0, "uniform", "uniform"),
        measured(5, "downsample", 2, 50.0, 8, 75.0, "downsample", "downsample"),
    ]
    for number in range(FIXED, count):
        if number % 40 == 39:
            trials.append(failed(number))
            continue
        k1 = draw.randint(1, LAYERS - 2)
        trials.append(
            measured(
                number,
                "sampler",
                k1,
                round(100 * draw.random() ** 0.7, 1),
                draw.randint(k1 + 1, LAYERS - 1),
                round(100 * draw.random() ** 0.6, 1),
                draw.choice(PHIS),
                draw.choice(PHIS),
            )
        )
    return trials[:count]


def fill(store: Store, key: StudyKey, trials: list[Trial]) -> int:
    """Write trials into the study of this key, and return its id."""
    study = store.study(key, family="Qwen2_5_VLForConditionalGeneration", layers=LAYERS)
    for trial in trials:
        store.add(study, trial)
    return study
