"""A-OKVQA: multiple choice that needs knowledge beyond the image, here a rule stated in the question.

Source: Schwenk et al., A-OKVQA (ECCV 2022).
"""

from __future__ import annotations

import numpy as np

from objectives.benchmarks.base import OPTION_LETTER, Benchmark, Question, question
from objectives.benchmarks.letter import read_letter
from objectives.benchmarks.refer import by_color, choices
from objectives.scenes import KINDS, Scene

MEANINGS = ("stop", "wait", "turn", "slow", "run", "jump")


class AOKVQA(Benchmark):
    name = "aokvqa"
    title = "A-OKVQA"
    suffix = OPTION_LETTER

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        things = by_color(scene)
        asked = []
        for ordinal, i in enumerate(rng.permutation(len(things))[:2]):
            name, thing = things[i]
            others = rng.permutation([k for k in KINDS if k != thing.kind]).tolist()
            kinds = [thing.kind, *others[:2]]
            meanings = [MEANINGS[m] for m in rng.permutation(len(MEANINGS))[:3]]
            rules = [f"{k} means {m}" for k, m in zip(kinds, meanings, strict=True)]
            rule = ", ".join(rules[j] for j in rng.permutation(3))
            options, letter = choices(rng, meanings[0], meanings, 3)
            text = f"A {rule}. What does the {name} mean?"
            asked.append(question(scene, ordinal, text, letter, choices=options))
        return asked

    def score(self, question: Question, answer: str) -> float:
        return float(read_letter(question, answer) == question.answers[0])
