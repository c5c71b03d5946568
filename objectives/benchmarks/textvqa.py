"""TextVQA: read the word or letter that a question points at; VQA accuracy over ten annotators.

Source: Singh et al., Towards VQA Models That Can Read (CVPR 2019).
"""

from __future__ import annotations

import numpy as np

from objectives.benchmarks.base import Benchmark, Question, question
from objectives.benchmarks.refer import unique
from objectives.benchmarks.vqa_accuracy import vqa_accuracy
from objectives.scenes import Scene


class TextVQA(Benchmark):
    name = "textvqa"
    title = "TextVQA"

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        signs = unique(scene.having(kind="sign"), lambda t: f"What word is on the {t.color} sign?")
        letters = unique(scene.having(kind="letter"), lambda t: f"What is written in {t.color}?")
        pool = [*signs, *letters]
        picked = [pool[i] for i in rng.permutation(len(pool))[:2]]
        return [
            question(scene, i, text, (thing.text,) * 10, category=thing.kind)
            for i, (text, thing) in enumerate(picked)
        ]

    def score(self, question: Question, answer: str) -> float:
        return vqa_accuracy(answer, question.answers)
