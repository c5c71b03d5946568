"""Measurements that look like real ones, computed from a configuration without a model."""

from __future__ import annotations

from himap import PruningConfig
from storage import Measurement

LAYERS, TOKENS, TEXT = 28, 256, 40


def measurement(config: PruningConfig, questions: int, noise: float = 0.0) -> Measurement:
    """Return a measurement where fewer tokens cost less and answer fewer questions right."""
    first, second = config.kept(TOKENS)
    seen = config.k1 * TOKENS + (config.k2 - config.k1) * first + (LAYERS - config.k2) * second
    ratio = (seen + LAYERS * TEXT) / (LAYERS * (TOKENS + TEXT))
    right = round(questions * min(1.0, max(0.0, 0.3 + 0.6 * (seen / (LAYERS * TOKENS)) ** 0.5 + noise)))
    accuracy = right / questions
    return Measurement(
        image_tokens=float(TOKENS),
        tokens_after_k1=float(first),
        tokens_after_k2=float(second),
        text_tokens=float(TEXT),
        paper_flops=1e9 * seen,
        flops=3e12 * ratio,
        flops_ratio=ratio,
        accuracy=accuracy,
        accuracy_low=max(0.0, accuracy - 0.04),
        accuracy_high=min(1.0, accuracy + 0.04),
        n=questions,
        device="none",
        seconds=1e-3,
        metrics=dict.fromkeys(("accuracy", "f1", "precision", "recall"), accuracy),
        scores=(1.0,) * right + (0.0,) * (questions - right),
    )
