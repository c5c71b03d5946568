"""A large store, written through the storage layer, that looks like that of many searches."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from bench.synthetic import LAYERS, measurement
from himap import PruningConfig
from storage import StudyKey, Trial, open_store
from storage.records import Origin

CRITERIA = ("instruction", "last_token", "all_text", "max_head", "intra_column", "key_norm", "diversity")
BASELINES: tuple[Origin, ...] = ("dense", "fastv", "paper", "random")
START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(url: str, trials: int, studies: int, questions: int = 500) -> None:
    """Write that many trials, spread evenly over the studies, each with a score per question."""
    rng = random.Random(0)
    with open_store(url) as store:
        for index in range(studies):
            model, benchmark = f"model-{index // 5}", f"benchmark-{index % 5}"
            key = StudyKey(model, f"{index // 5:064x}", benchmark, "validation", questions, 0, "two-cuts-2")
            study = store.study(key)
            store.add_all(study, [generated(number, rng, questions) for number in range(trials // studies)])


def generated(number: int, rng: random.Random, questions: int) -> Trial:
    """Return a plausible trial; the first four are the baselines, and one in seven is stopped early."""
    origin: Origin = BASELINES[number] if number < len(BASELINES) else "sampler"
    k1 = rng.randint(1, LAYERS - 2)
    k2, r1, r2 = rng.randint(k1 + 1, LAYERS - 1), float(rng.randint(0, 99)), float(rng.randint(0, 99))
    drawn = PruningConfig(k1, r1, k2, r2, rng.choice(CRITERIA), rng.choice(CRITERIA))
    config = PruningConfig.dense() if origin == "dense" else drawn
    measured = measurement(config, questions, rng.gauss(0, 0.02))
    latency = 20 + 80 * measured.flops_ratio
    values = vars(measured) | {
        "latency_ms": latency,
        "latency_low_ms": latency - 1,
        "latency_high_ms": latency + 2,
        "dense_latency_ms": 100.0,
        "device": "cuda: H100",
        "seconds": rng.uniform(2, 9),
        "commit": "3ee45d2c10aa",
        "created_at": START + timedelta(seconds=5 * number),
        "versions": {"torch": "2.13.0", "transformers": "5.23.0", "optuna": "5.0.0", "ray": "2.60.0"},
    }
    if number % 7 == 6:
        values |= {"state": "pruned", "reason": "less accurate than trial 2", "n": 96}
    return Trial(**{"number": number, "state": "complete", "origin": origin, "config": config, **values})
