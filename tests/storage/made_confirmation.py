"""A confirmation with every field set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from himap import PruningConfig
from himap.presets import Timing

FULL: dict[str, Any] = {
    "config": PruningConfig(2, 50.5, 8, 75.0, "last_token", "instruction", 2**40),
    "n_questions": 500,
    "n": 499,
    "accuracy": 0.861,
    "accuracy_low": 0.827,
    "accuracy_high": 0.889,
    "dense_accuracy": 0.865,
    "difference": -0.004,
    "difference_low": -0.009,
    "difference_high": 0.002,
    "bound": 0.01,
    "trial": 17,
    "split": "test",
    "image_tokens": 144.5,
    "tokens_after_k1": 72.25,
    "tokens_after_k2": 18.0,
    "text_tokens": 31.75,
    "paper_flops": 2.5e9,
    "flops": 7.123456789e9,
    "flops_ratio": 0.247,
    "latency_ms": 12.5,
    "latency_low_ms": 12.0,
    "latency_high_ms": 13.25,
    "dense_latency_ms": 20.5,
    "timings": (
        Timing(
            figure="output_token",
            batch=8,
            ms=1.5,
            dense_ms=2.0,
            speedup=1.25,
            speedup_low=1.0,
            speedup_high=1.5,
            repeats=6,
        ),
    ),
    "device": "cpu, 2 cores",
    "seconds": 4.5,
    "commit": "abc1234",
    "created_at": datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC),
    "versions": {"torch": "2.13.0"},
    "metrics": {"f1": 0.9},
    "scores": (0.0, 1.0, 0.3, 1 / 3),
}
