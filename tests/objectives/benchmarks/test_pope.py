"""POPE: its questions, its reading rule and its figures."""

from __future__ import annotations

import pytest

from objectives.benchmarks import Question, benchmark
from objectives.benchmarks.rules.choices import read_pope
from objectives.scenes import Scene
from objectives.scenes.scene import COMPANION
from tests.objectives import published_scores
from tests.objectives.benchmark_conformance import MANY, Conformance, parsed, questions, scene_of

POPE = benchmark("pope")


class TestPOPE(Conformance):
    name = "pope"
    fingerprint = 1535051188
    best_guess = 0.52

    def wrong(self, question: Question) -> str:
        return "no" if question.answers[0] == "yes" else "yes"

    def truth(self, question: Question, scene: Scene) -> str:
        (kind,) = parsed(r"Is there a (\w+) in the image\?", question) or ("",)
        return "yes" if scene.count(kind=kind) else "no"

    def test_questions_come_as_a_yes_and_a_no(self) -> None:
        sample = questions(self.name, "validation", MANY)
        for yes, no in zip(sample[::2], sample[1::2], strict=True):
            assert (yes.answers, no.answers) == (("yes",), ("no",))
            assert yes.image == no.image and yes.group == no.group and yes.category == no.category

    def test_the_three_strategies_come_about_equally_often(self) -> None:
        sample = questions(self.name, "validation", MANY)
        for strategy in ("random", "popular", "adversarial"):
            assert 120 <= sum(q.category == strategy for q in sample) <= 220

    def test_popular_asks_for_the_most_frequent_absent_kind(self) -> None:
        by_frequency = ["circle", "sign", "square", "triangle", "star", "letter"]  # 1.6, 1.6, 1.4, 1.2, 1, 1
        for q in questions(self.name, "validation", MANY):
            if q.category == "popular" and q.answers == ("no",):
                absent = [kind for kind in by_frequency if not scene_of(q).count(kind=kind)]
                assert not absent or f" {absent[0]} " in q.text

    def test_adversarial_asks_for_a_companion_where_one_is_missing(self) -> None:
        pairs = [*COMPANION.items(), *((b, a) for a, b in COMPANION.items())]
        for q in questions(self.name, "validation", MANY):
            if q.category == "adversarial" and q.answers == ("no",):
                there = scene_of(q)
                tempting = {b for a, b in pairs if there.count(kind=a) and not there.count(kind=b)}
                assert not tempting or q.text.split()[3] in tempting


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("Yes", "yes"),
        ("yes, there is", "yes"),
        ("No", "no"),
        ("no", "no"),
        ("No, there is none.", "no"),  # the comma is dropped, so the word is "No"
        ("There is not a cat.", "no"),
        ("Yes. There is no dog.", "yes"),  # only the first sentence counts
        ("There is none. No", "yes"),  # and it holds none of the three words
        ("Nothing", "yes"),  # a word, not a part of one
        ("NO", "yes"),  # as the original has it
        ("", "yes"),
    ],
)
def test_answers_are_read_by_popes_rule(answer: str, read: str) -> None:
    assert read_pope(answer) == read


def sample(*answers: str) -> list[Question]:
    return [Question(f"q{i}", "image", "Is there a cat in the image?", (a,)) for i, a in enumerate(answers)]


def test_figures_of_a_hand_made_set() -> None:
    """Truth yes yes yes yes no no no no no no, said yes yes no no yes no no no no no.

    So 2 of 3 said yes are right (precision 2/3), 2 of 4 are found (recall 1/2), F1 is 2·(1/3)/(7/6) = 4/7,
    7 of 10 are right and 3 of 10 are said to be there.
    """
    truth = sample(*["yes"] * 4, *["no"] * 6)
    answers = ["Yes", "yes", "no", "No, none", "yes", "no", "not here", "no", "No.", "no"]
    figures = POPE.metrics(truth, answers)
    assert figures == pytest.approx({"accuracy": 0.7, "precision": 2 / 3, "recall": 0.5, "f1": 4 / 7, "yes_ratio": 0.3})


def test_figures_without_a_single_hit_are_zero_not_an_error() -> None:
    figures = POPE.metrics(sample("yes", "no"), ["no", "no"])
    assert (figures["precision"], figures["recall"], figures["f1"]) == (0, 0, 0)


def test_the_published_score_of_a_published_model() -> None:
    popular = published_scores.pope_popular()
    figures = POPE.metrics(sample(*(one.label for one in popular)), [one.answer for one in popular])
    assert len(popular) == 3000
    assert round(figures["f1"], 4) == published_scores.F1_POPULAR
