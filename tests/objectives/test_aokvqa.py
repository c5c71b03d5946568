"""A-OKVQA: a rule in the question decides what the thing in the image means."""

from __future__ import annotations

import re

import pytest
from benchmark_conformance import MANY, Conformance, only, questions

from objectives.benchmarks import Question, benchmark
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


@pytest.mark.parametrize(
    ("answer", "score"),
    [("wait", 1.0), ("B", 1.0), ("B. wait", 1.0), ("stop", 0.0), ("Wait", 0.0), ("", 0.0)],
)
def test_a_choice_is_given_by_its_words_or_its_letter(answer: str, score: float) -> None:
    asked = Question("q", "", "What does it mean?", ("B",), choices=("stop", "wait", "turn"))
    assert benchmark("aokvqa").score(asked, answer) == score


class TestAOKVQADirect(Conformance):
    name = "aokvqa-direct"
    fingerprint = 1602821998
    best_guess = 0.25

    def wrong(self, question: Question) -> str:
        return "giraffe"

    def truth(self, question: Question, scene: Scene) -> str:
        rule, _, asked = question.text.removeprefix("A ").partition(". ")
        meaning = dict(part.split(" means ") for part in rule.split(", "))
        found = re.fullmatch(r"What does the (\w+) object mean\?", asked)
        assert found
        return meaning[scene.things[only(scene, color=found[1])].kind]


@pytest.mark.parametrize(("given_by", "score"), [(0, 0.0), (1, 1 / 3), (2, 2 / 3), (3, 1.0), (10, 1.0)])
def test_direct_answers_leave_nobody_out(given_by: int, score: float) -> None:
    asked = Question("q", "", "?", ("red",) * given_by + ("blue",) * (10 - given_by))
    assert benchmark("aokvqa-direct").score(asked, "red") == pytest.approx(score)


def test_direct_answers_are_compared_letter_for_letter() -> None:
    asked = Question("q", "", "?", ("red",) * 10)
    assert benchmark("aokvqa-direct").score(asked, "Red.") == 0
    assert benchmark("aokvqa-direct").submitted(" Red.") == "red"
