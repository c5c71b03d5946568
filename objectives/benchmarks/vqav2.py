"""VQAv2: open short answers about colors, shapes, sizes and counts; soft accuracy over ten annotators.

Source: Goyal et al., Making the V in VQA Matter (CVPR 2017).
"""

from __future__ import annotations

import numpy as np

from objectives.benchmarks.base import Benchmark, Question, question
from objectives.benchmarks.refer import by_color, by_kind, plural, unique
from objectives.benchmarks.vqa_accuracy import vqa_accuracy
from objectives.scenes import COLORS, KINDS, Scene


class VQAv2(Benchmark):
    name = "vqav2"
    title = "VQAv2"

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        pool: dict[str, list[tuple[str, str]]] = {
            "color": [(f"What color is the {n}?", t.color) for n, t in by_kind(scene)],
            "shape": [(f"What is the {n}?", t.kind) for n, t in by_color(scene)],
            "size": [
                (f"What size is the {n}?", t.size)
                for n, t in unique(scene.things, lambda t: f"{t.color} {t.kind}")
                if t.kind != "sign"
            ],
            "count": [(f"How many {plural(k)} are there?", str(scene.count(kind=k))) for k in KINDS]
            + [(f"How many {c} objects are there?", str(scene.count(color=c))) for c in COLORS],
        }
        pool["count"] = [pair for pair in pool["count"] if pair[1] != "0" and int(pair[1]) <= 5]
        picked = []
        categories = rng.permutation(sorted(k for k, v in pool.items() if v)).tolist()
        for ordinal, category in enumerate(categories[:2]):
            text, answer = _pick(rng, pool[category])
            answers = _annotators(rng, answer, [a for _, a in pool[category]])
            picked.append(question(scene, ordinal, text, answers, category=category))
        return picked

    def target(self, question: Question) -> str:
        return max(question.answers, key=question.answers.count)

    def score(self, question: Question, answer: str) -> float:
        return vqa_accuracy(answer, question.answers)


def _pick(rng: np.random.Generator, pairs: list[tuple[str, str]]) -> tuple[str, str]:
    """A pair drawn with equal chance for every answer, so that no answer is a safe guess."""
    answers = sorted({answer for _, answer in pairs})
    wanted = answers[rng.integers(len(answers))]
    same = [pair for pair in pairs if pair[1] == wanted]
    return same[rng.integers(len(same))]


def _annotators(rng: np.random.Generator, answer: str, slips: list[str]) -> tuple[str, ...]:
    """Ten answers of which up to three slip, as people do."""
    wrong = rng.integers(0, 4)
    given = [answer] * (10 - wrong) + [slips[i] for i in rng.integers(0, len(slips), wrong)]
    return tuple(given[i] for i in rng.permutation(10))
