"""VQAv2: open questions, ten annotators and their soft accuracy."""

from __future__ import annotations

import pytest

from objectives.benchmarks import Question, benchmark
from objectives.benchmarks.rules.vqa import (
    evalai,
    textvqa_accuracy,
    vqa_accuracy,
    without_articles,
    without_punctuation,
)
from objectives.scenes import Scene
from tests.objectives.benchmark_conformance import MANY, Conformance, only, parsed, questions


class TestVQAv2(Conformance):
    name = "vqav2"
    fingerprint = 411256895
    best_guess = 0.25

    def wrong(self, question: Question) -> str:
        return "giraffe"

    def truth(self, question: Question, scene: Scene) -> str:
        if result := parsed(r"What color is the (\w+)\?", question):
            return scene.things[only(scene, result[0])].color
        if result := parsed(r"What is the (\w+) object\?", question):
            return scene.things[only(scene, color=result[0])].kind
        if result := parsed(r"What size is the (\w+) (\w+)\?", question):
            return scene.things[only(scene, result[1], result[0])].size
        (name,) = parsed(r"How many ([\w ]+) are there\?", question) or ("",)
        if name.endswith(" objects"):
            return str(scene.count(color=name.removesuffix(" objects")))
        return str(scene.count(kind="cross" if name == "crosses" else name.removesuffix("s")))

    def test_ten_annotators_of_whom_most_agree(self) -> None:
        for q in questions(self.name, "validation", MANY):
            assert len(q.answers) == 10
            assert max(map(q.answers.count, q.answers)) >= 7

    def test_annotators_do_slip(self) -> None:
        sample = questions(self.name, "validation", MANY)
        assert sum(len(set(q.answers)) > 1 for q in sample) > MANY / 4


@pytest.mark.parametrize(
    ("given_by", "accuracy"),
    [
        # k annotators gave the answer. Leaving one of those out leaves k-1 matches, one of the others k:
        # (k * min(1, (k-1)/3) + (10-k) * min(1, k/3)) / 10
        (0, 0.0),
        (1, 0.3),  # (1·0 + 9·1/3) / 10
        (2, 0.6),  # (2·1/3 + 8·2/3) / 10
        (3, 0.9),  # (3·2/3 + 7·1) / 10
        (4, 1.0),
        (10, 1.0),
    ],
)
def test_leave_one_out_accuracy(given_by: int, accuracy: float) -> None:
    annotations = ["red"] * given_by + [f"other {i}" for i in range(10 - given_by)]
    assert vqa_accuracy("red", annotations) == pytest.approx(accuracy)


def normal_form(text: str) -> str:
    return without_articles(without_punctuation(text))


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("The Red", "red"),
        ("a star.", "star"),
        ("two", "2"),
        ("None", "0"),
        ("  red,  blue ", "red blue"),
        ("3.5", "3.5"),
        ("No. 5", "no 5"),
        ("a .5 inch", ".5 inch"),
        ("an", ""),
        ("left-hand", "left hand"),  # a mark between letters becomes a space
        ("left -hand", "left hand"),  # beside a space it goes
        ("1,000-2,000", "10002000"),  # beside a thousands separator all marks go
        ("red/blue", "red blue"),
        ("dont", "don't"),
        ("couldnt've", "couldn't've"),
        ("somebody'd", "somebodyd"),  # the original's own slip
        ("Im", "im"),  # the original's entry begins with a capital and is never found
        ("its", "its"),
    ],
)
def test_normal_form(raw: str, normal: str) -> None:
    assert normal_form(raw) == normal


@pytest.mark.parametrize(
    ("raw", "processed"),
    [
        ("Yes, it is", "yes it is"),
        ("the dog's", "dog 's"),  # what VQAv2's own processing does not do
        ("What?", "what"),
        ("1,000", "1000"),
        ("  Two\n", "2"),
        ("a\tb", "b"),  # "a" is an article
        ("7:30 p.m.", "7:30 pm"),
    ],
)
def test_the_evalai_processor(raw: str, processed: str) -> None:
    assert evalai(raw) == processed


def test_both_sides_are_normalized_where_annotators_differ() -> None:
    assert vqa_accuracy("Two.", ["2"] * 5 + ["the two"] * 5) == 1.0


@pytest.mark.parametrize(("answer", "accuracy"), [("two", 1.0), (" two\n", 1.0), ("Two", 0.0), ("2", 0.0)])
def test_unanimous_answers_are_compared_as_they_are(answer: str, accuracy: float) -> None:
    assert vqa_accuracy(answer, ["two"] * 10) == accuracy


def test_textvqa_normalizes_always() -> None:
    assert textvqa_accuracy("Two", ["two"] * 10) == 1.0


def test_both_readings_of_raw_answers_are_reported() -> None:
    """LLaVA converts answers before it submits them; the official rule alone refuses "Yes" here."""
    sample = [Question("1", "", "Is it?", ("yes",) * 10), Question("2", "", "How many?", ("2",) * 10)]
    figures = benchmark("vqav2").metrics(sample, ["Yes", "2"])
    assert figures == {"accuracy": 0.5, "accuracy_evalai": 1.0}
