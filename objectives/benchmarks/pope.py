"""POPE: is there a ... in the image? Random, popular and adversarial absent objects; accuracy and F1.

Source: Li et al., Evaluating Object Hallucination in Large Vision-Language Models (EMNLP 2023).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from objectives.benchmarks.base import Benchmark, Question, question
from objectives.benchmarks.yes_no import read_pope
from objectives.scenes import KINDS, Scene
from objectives.scenes.scene import COMPANION, FREQUENCY

_STRATEGIES = ("random", "popular", "adversarial")


class POPE(Benchmark):
    name = "pope"
    title = "POPE"

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        present = sorted({t.kind for t in scene.things})
        absent = [k for k in KINDS if k not in present]
        if not absent:
            return []
        strategy = _STRATEGIES[rng.integers(3)]
        pair = [(present[rng.integers(len(present))], "yes"), (_absent(rng, strategy, present, absent), "no")]
        return [
            question(scene, i, f"Is there a {kind} in the image?", answer, category=strategy, group=scene.key)
            for i, (kind, answer) in enumerate(pair)
        ]

    def score(self, question: Question, answer: str) -> float:
        return float(read_pope(answer) == question.answers[0])

    def metrics(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
        said = np.array([read_pope(a) == "yes" for a in answers])
        true = np.array([q.answers[0] == "yes" for q in questions])
        hits = float((said & true).sum())
        precision = hits / max(1.0, float(said.sum()))
        recall = hits / max(1.0, float(true.sum()))
        return {
            "accuracy": float((said == true).mean()),
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
            "yes_ratio": float(said.mean()),
        }


def _absent(rng: np.random.Generator, strategy: str, present: list[str], absent: list[str]) -> str:
    """An absent kind: any, the most frequent in general, or the companion of one that is there."""
    if strategy == "adversarial":
        tempting = [k for k in absent if any(COMPANION.get(p) == k or COMPANION.get(k) == p for p in present)]
        if tempting:
            return tempting[rng.integers(len(tempting))]
    if strategy == "random":
        return absent[rng.integers(len(absent))]
    return max(absent, key=lambda k: FREQUENCY[KINDS.index(k)])
