"""MME: two yes/no questions on one image, one true and one false; accuracy and accuracy+.

Source: Fu et al., MME (arXiv 2306.13394). The embedded form has five of its categories.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from objectives.benchmarks.base import Benchmark, Question, question
from objectives.benchmarks.refer import by_kind, plural, unique
from objectives.benchmarks.yes_no import read_mme
from objectives.scenes import COLORS, KINDS, WORDS, Scene

Pair = tuple[str, str]


class MME(Benchmark):
    name = "mme"
    title = "MME"

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        for category in rng.permutation(sorted(_MAKERS)).tolist():
            pair = _MAKERS[category](scene, rng)
            if pair:
                return [
                    question(scene, i, text, answer, category=category, group=scene.key)
                    for i, (text, answer) in enumerate(zip(pair, ("yes", "no"), strict=True))
                ]
        return []

    def score(self, question: Question, answer: str) -> float:
        return float(read_mme(answer) == question.answers[0])

    def metrics(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
        scores = [self.score(q, a) for q, a in zip(questions, answers, strict=True)]
        images: dict[tuple[str, str], list[float]] = defaultdict(list)
        for q, s in zip(questions, scores, strict=True):
            images[q.category, q.group].append(s)
        plus = float(np.mean([min(pair) for pair in images.values()]))
        return {"accuracy": float(np.mean(scores)), "accuracy_plus": plus}


def _existence(scene: Scene, rng: np.random.Generator) -> Pair | None:
    there = scene.things[rng.integers(len(scene.things))]
    kind = there.kind
    others = [c for c in COLORS if scene.count(kind=kind, color=c) == 0]
    other = others[rng.integers(len(others))]
    return f"Is there a {there.color} {kind} in this image?", f"Is there a {other} {kind} in this image?"


def _count(scene: Scene, rng: np.random.Generator) -> Pair | None:
    counts = [(plural(k), scene.count(kind=k)) for k in KINDS]
    counts += [(f"{c} objects", scene.count(color=c)) for c in COLORS]
    pool = [(name, n) for name, n in counts if 1 <= n <= 4]
    several = [pair for pair in pool if pair[1] > 1] or pool
    name, n = several[rng.integers(len(several))]
    near = [m for m in (n - 1, n + 1) if 1 <= m <= 4]
    wrong = near[rng.integers(len(near))]
    return f"Are there {n} {name} in this image?", f"Are there {wrong} {name} in this image?"


def _position(scene: Scene, rng: np.random.Generator) -> Pair | None:
    things = by_kind(scene)
    pool = [(a, b, "left of") for a, s in things for b, t in things if s.column < t.column]
    pool += [(a, b, "above") for a, s in things for b, t in things if s.row < t.row]
    if not pool:
        return None
    first, second, relation = pool[rng.integers(len(pool))]
    return f"Is the {first} {relation} the {second}?", f"Is the {second} {relation} the {first}?"


def _color(scene: Scene, rng: np.random.Generator) -> Pair | None:
    things = by_kind(scene)
    if not things:
        return None
    name, thing = things[rng.integers(len(things))]
    others = [c for c in COLORS if c != thing.color]
    return f"Is the {name} {thing.color}?", f"Is the {name} {others[rng.integers(len(others))]}?"


def _ocr(scene: Scene, rng: np.random.Generator) -> Pair | None:
    signs = unique(scene.having(kind="sign"), lambda t: f"Is the word on the {t.color} sign")
    if not signs:
        return None
    start, thing = signs[rng.integers(len(signs))]
    others = [w for w in WORDS if w != thing.text]
    return f"{start} {thing.text}?", f"{start} {others[rng.integers(len(others))]}?"


_MAKERS: dict[str, Callable[[Scene, np.random.Generator], Pair | None]] = {
    "existence": _existence, "count": _count, "position": _position, "color": _color, "OCR": _ocr,
}  # fmt: skip
