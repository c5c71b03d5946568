"""A-OKVQA: a rule in the question decides what the thing in the image means."""

from __future__ import annotations

import re

from benchmark_conformance import MANY, Conformance, only, questions

from objectives.benchmarks import Question
from objectives.scenes import Scene


class TestAOKVQA(Conformance):
    name = "aokvqa"
    fingerprint = 3725255737
    best_guess = 0.4

    def wrong(self, question: Question) -> str:
        return "B" if question.answers[0] == "A" else "A"

    def truth(self, question: Question, scene: Scene) -> str:
        rule, _, asked = question.text.removeprefix("A ").partition(". ")
        meaning = dict(part.split(" means ") for part in rule.split(", "))
        found = re.fullmatch(r"What does the (\w+) object mean\?", asked)
        assert found
        return "ABC"[question.choices.index(meaning[scene.things[only(scene, color=found[1])].kind])]

    def test_the_options_are_the_three_meanings_of_the_rule(self) -> None:
        for q in questions(self.name, "validation", MANY):
            assert set(re.findall(r"means (\w+)", q.text)) == set(q.choices)
            assert len(q.choices) == 3
