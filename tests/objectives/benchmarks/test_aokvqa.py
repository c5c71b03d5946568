"""A-OKVQA: a rule in the question decides which thing in the image is meant."""

from __future__ import annotations

import re

import pytest

from objectives.benchmarks import Question, benchmark
from objectives.scenes import KINDS, Scene, Thing, make_scene
from tests.objectives.benchmark_conformance import MANY, Conformance, only, questions


def meant(question: Question, scene: Scene) -> Thing:
    """The thing that the asked code word means."""
    result = re.fullmatch(r"(\w+) means (\w+)\. What color is the \1\?", question.text)
    assert result
    return scene.things[only(scene, kind=result[2])]


class TestAOKVQA(Conformance):
    name = "aokvqa"
    fingerprint = 2647167699
    best_guess = 0.4

    def wrong(self, question: Question) -> str:
        return "B" if question.answers[0] == "A" else "A"

    def truth(self, question: Question, scene: Scene) -> str:
        return "ABC"[question.choices.index(meant(question, scene).color)]

    def test_the_wrong_options_are_colors_that_the_scene_has(self) -> None:
        for q in questions(self.name, "validation", MANY):
            scene = make_scene("validation", int(q.image.rpartition("-")[2]))
            alone = {things[0].color for kind in KINDS if len(things := scene.having(kind=kind)) == 1}
            assert len(set(q.choices)) == len(q.choices) == 3
            assert len(alone & set(q.choices)) == min(3, len(alone))


@pytest.mark.parametrize(
    ("answer", "score"), [("wait", 1.0), ("B", 1.0), ("B. wait", 1.0), ("stop", 0.0), ("Wait", 0.0), ("", 0.0)]
)
def test_a_choice_is_given_by_its_words_or_its_letter(answer: str, score: float) -> None:
    item = Question("q", "", "What does it mean?", ("B",), choices=("stop", "wait", "turn"))
    assert benchmark("aokvqa").score(item, answer) == score


class TestAOKVQADirect(Conformance):
    name = "aokvqa-direct"
    fingerprint = 4092270948
    best_guess = 0.25

    def wrong(self, question: Question) -> str:
        return "giraffe"

    def truth(self, question: Question, scene: Scene) -> str:
        return meant(question, scene).color


@pytest.mark.parametrize(("given_by", "score"), [(0, 0.0), (1, 1 / 3), (2, 2 / 3), (3, 1.0), (10, 1.0)])
def test_direct_answers_leave_nobody_out(given_by: int, score: float) -> None:
    item = Question("q", "", "?", ("red",) * given_by + ("blue",) * (10 - given_by))
    assert benchmark("aokvqa-direct").score(item, "red") == pytest.approx(score)


def test_direct_answers_are_compared_letter_for_letter() -> None:
    item = Question("q", "", "?", ("red",) * 10)
    assert benchmark("aokvqa-direct").score(item, "Red.") == 0
    assert benchmark("aokvqa-direct").submitted(" Red.") == "red"
