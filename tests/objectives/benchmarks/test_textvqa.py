"""TextVQA: the words that are to be read."""

from __future__ import annotations

from objectives.benchmarks import Question
from objectives.scenes import LETTERS, WORDS, Scene
from tests.objectives.benchmark_conformance import MANY, Conformance, only, parsed, questions


class TestTextVQA(Conformance):
    name = "textvqa"
    fingerprint = 3210232718
    best_guess = 0.15

    def wrong(self, question: Question) -> str:
        return "giraffe"

    def truth(self, question: Question, scene: Scene) -> str:
        if result := parsed(r"What word is on the (\w+) sign\?", question):
            return scene.things[only(scene, "sign", result[0])].text
        (color,) = parsed(r"What is written in (\w+)\?", question) or ("",)
        return scene.things[only(scene, "letter", color)].text

    def test_signs_and_letters_are_both_read(self) -> None:
        sample = questions(self.name, "validation", MANY)
        assert {q.answers[0] for q in sample if q.category == "sign"} == set(WORDS)
        assert {q.answers[0] for q in sample if q.category == "letter"} == set(LETTERS)
