"""ScienceQA: four options, one letter; and how letters are read."""

from __future__ import annotations

import pytest

from objectives.benchmarks import Question
from objectives.benchmarks.rules.choices import read_letter
from objectives.scenes import Scene
from tests.objectives.benchmark_conformance import MANY, Conformance, only, parsed, questions

FOUR = Question("q", "image", "What is it?", ("B",), choices=("dog", "cat", "bus", "sun"))


class TestScienceQA(Conformance):
    name = "scienceqa"
    fingerprint = 800150063
    best_guess = 0.32

    def wrong(self, question: Question) -> str:
        return "B" if question.answers[0] == "A" else "A"

    def truth(self, question: Question, scene: Scene) -> str:
        if result := parsed(r"What color is the (\w+)\?", question):
            right = scene.things[only(scene, result[0])].color
        else:
            (color,) = parsed(r"What is the (\w+) object\?", question) or ("",)
            right = scene.things[only(scene, color=color)].kind
        return "ABCD"[question.choices.index(right)]

    def test_four_different_options_each(self) -> None:
        assert all(len(set(q.choices)) == 4 for q in questions(self.name, "validation", MANY))


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        (" B \n", "B"),
        ("B. cat", "B"),
        ("The answer is B.", "B"),
        ("I think so. The answer is B.", "B"),
        ("The answer is B. The answer is C.", None),  # undecided
        ("b", None),
        ("B.", None),  # too short for "B. ...", as in LLaVA's evaluation
        ("cat", None),  # the option's words are not its letter
        ("E", None),  # not among four options
        ("The answer is E.", None),
        ("BC", None),
        ("", None),
    ],
)
def test_letters_in_answers(answer: str, letter: str | None) -> None:
    assert read_letter(FOUR, answer) == letter


def test_the_options_of_the_question_bound_the_letters() -> None:
    assert read_letter(Question("q", "image", "?", ("A",), choices=("dog", "cat")), "C") is None
