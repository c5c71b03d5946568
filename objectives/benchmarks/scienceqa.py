"""ScienceQA: multiple choice about the image, answered by an option's letter.

Source: Lu et al., Learn to Explain (NeurIPS 2022); answer parsing as in LLaVA's evaluation.
"""

from __future__ import annotations

import numpy as np

from objectives.benchmarks.base import OPTION_LETTER, Benchmark, Question, question
from objectives.benchmarks.letter import read_letter
from objectives.benchmarks.refer import by_color, by_kind, choices
from objectives.scenes import COLORS, KINDS, Scene


class ScienceQA(Benchmark):
    name = "scienceqa"
    title = "ScienceQA"
    suffix = OPTION_LETTER

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        pool: list[tuple[str, str, tuple[str, ...]]]
        pool = [(f"What color is the {n}?", t.color, COLORS) for n, t in by_kind(scene)]
        pool += [(f"What is the {n}?", t.kind, KINDS) for n, t in by_color(scene)]
        asked = []
        for ordinal, i in enumerate(rng.permutation(len(pool))[:2]):
            text, answer, others = pool[i]
            options, letter = choices(rng, answer, others, 4)
            asked.append(question(scene, ordinal, text, letter, choices=options))
        return asked

    def score(self, question: Question, answer: str) -> float:
        return float(read_letter(question, answer) == question.answers[0])
