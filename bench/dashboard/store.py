"""A large store, written through the storage layer, that looks like that of many searches."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

from himap import PruningConfig
from storage import StudyKey, Trial, open_store

LAYERS, TOKENS, TEXT = 28, 256.0, 40.0
CRITERIA = ("instruction", "last_token", "all_text", "max_head", "intra_column", "key_norm", "diversity")
LANDMARKS = ("dense", "fastv", "paper", "random")
START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(url: str, trials: int, studies: int, questions: int = 500) -> None:
    """Write that many trials, spread evenly over the studies, each with per-question scores."""
    draw = random.Random(0)
    with open_store(url) as store:
        for index in range(studies):
            key = StudyKey(
                f"model-{index // 5}",
                f"{index // 5:064x}",
                f"benchmark-{index % 5}",
                "validation",
                questions,
                0,
                "two-cuts-2",
            )
            study = store.study(key)
            store.add_all(study, [made(number, draw, questions) for number in range(trials // studies)])


def made(number: int, draw: random.Random, questions: int) -> Trial:
    """A plausible trial; the first four are the landmarks."""
    origin = LANDMARKS[number] if number < len(LANDMARKS) else "sampler"
    k1 = draw.randint(1, LAYERS - 2)
    k2 = draw.randint(k1 + 1, LAYERS - 1)
    r1, r2 = (0.0, 0.0) if origin == "dense" else (float(draw.randint(0, 99)), float(draw.randint(0, 99)))
    first = TOKENS - math.floor(TOKENS * r1 / 100)
    second = first - math.floor(first * r2 / 100)
    layers = k1 * TOKENS + (k2 - k1) * first + (LAYERS - k2) * second
    ratio = (layers + LAYERS * TEXT) / (LAYERS * (TOKENS + TEXT))
    share = 0.5 + 0.4 * math.sqrt(layers / (LAYERS * TOKENS)) + draw.gauss(0, 0.02)
    right = round(questions * min(1.0, max(0.0, share)))
    accuracy, half = right / questions, 0.04
    stopped = number % 7 == 6
    return Trial(
        number,
        "pruned" if stopped else "complete",
        origin,
        PruningConfig(k1, r1, k2, r2, draw.choice(CRITERIA), draw.choice(CRITERIA), 0),
        image_tokens=TOKENS,
        tokens_after_k1=first,
        tokens_after_k2=second,
        text_tokens=TEXT,
        paper_flops=1e9 * layers,
        flops=3e12 * ratio,
        flops_ratio=ratio,
        accuracy=accuracy,
        accuracy_low=max(0.0, accuracy - half),
        accuracy_high=min(1.0, accuracy + half),
        n=96 if stopped else questions,
        latency_ms=20 + 80 * ratio,
        latency_low_ms=19 + 80 * ratio,
        latency_high_ms=22 + 80 * ratio,
        device="cuda: H100",
        seconds=draw.uniform(2, 9),
        commit="3ee45d2c10aa",
        reason="less accurate than trial 2" if stopped else "",
        created_at=START + timedelta(seconds=5 * number),
        versions={"torch": "2.13.0", "transformers": "5.23.0", "optuna": "5.0.0", "ray": "2.60.0"},
        metrics={"accuracy": accuracy, "f1": accuracy, "precision": accuracy, "recall": accuracy},
        scores=tuple([1.0] * right + [0.0] * (questions - right)),
    )
