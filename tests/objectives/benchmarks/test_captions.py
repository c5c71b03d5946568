"""Captions: CIDEr-D by hand, tokens as the Stanford tokenizer makes them, and the two benchmarks."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest

from objectives.benchmarks import BENCHMARKS, EVERY_BENCHMARK, PublishedBenchmark, Question, benchmark
from objectives.benchmarks.captions import cider
from objectives.benchmarks.rules import ptb
from objectives.benchmarks.rules.cider import CiderD
from objectives.scenes import Scene
from tests.objectives.benchmark_conformance import Conformance


class Captions(Conformance):
    best_guess: ClassVar[float] = 0.1

    def wrong(self, question: Question) -> str:
        return "a photo of a dog"

    def truth(self, question: Question, scene: Scene) -> str:
        def words(kind: str, color: str, size: str, text: str) -> str:
            return f"{color} sign {text}" if kind == "sign" else f"{size} {color} {kind} {text}".strip()

        return ", ".join(words(t.kind, t.color, t.size, t.text) for t in scene.things)

    def test_the_prompt_is_the_question_the_options_and_the_ending(
        self, mine: PublishedBenchmark, many: tuple[Question, ...]
    ) -> None:
        """A caption has no question: the prompt is the ending alone."""
        prompts = {mine.prompt(q) for q in many}
        assert prompts == {"Provide a one-sentence caption for the provided image."}


class TestNocaps(Captions):
    name = "nocaps"
    fingerprint = 134478839


class TestFlickr30k(Captions):
    name = "flickr30k"
    fingerprint = 134478839


def test_captions_are_known_by_name_but_are_not_among_the_six() -> None:
    assert list(BENCHMARKS) == ["vqav2", "textvqa", "pope", "mme", "scienceqa", "aokvqa"]
    assert list(EVERY_BENCHMARK)[:6] == list(BENCHMARKS)
    assert {"nocaps", "flickr30k", "aokvqa-direct"} <= set(EVERY_BENCHMARK)


def test_a_caption_that_equals_its_only_reference_has_ten() -> None:
    scorer = CiderD([["a red star on a wall"], ["two dogs run fast"]])
    assert scorer.scores(["a red star on a wall", "two dogs run fast"]) == pytest.approx([10, 10])


def test_a_caption_without_a_common_word_has_nothing() -> None:
    assert CiderD([["a red star"], ["two dogs run"]]).scores(["blue", ""]) == [0, 0]


def test_cider_by_hand() -> None:
    """Two images, idf log 2 for a word of one image and 0 for "a". Caption "a cat", reference "a cat sat".

    Words: weights cat L and cat L, sat L: cosine L²/(L·L√2) = 1/√2. Pairs: "a cat" L against "a cat" L and
    "cat sat" L: 1/√2. Triples and fours: the caption has none. Lengths in pairs 1 and 2: e^(-1/72).
    Score 10/4 · (2/√2) · e^(-1/72).
    """
    scores = CiderD([["a cat sat"], ["a dog"]]).scores(["a cat", "a dog"])
    assert scores[0] == pytest.approx(10 / 4 * math.sqrt(2) * math.exp(-1 / 72))
    assert scores[1] == pytest.approx(10 / 4 * 2)  # words and pairs are all there, longer ones there are none


def test_repeating_a_rare_word_is_clipped() -> None:
    """The plain cosine would give "cat cat cat" the words' full mark."""
    scorer = CiderD([["cat sat"], ["dog ran"]])
    assert scorer.scores(["cat cat cat", "dog"])[0] < scorer.scores(["cat", "dog"])[0]


def test_references_are_averaged() -> None:
    scorer = CiderD([["cat sat", "dog ran"], ["tree fell"]])
    assert scorer.scores(["cat sat", "x"])[0] == pytest.approx(10 / 4 * 2 / 2)


def test_figures_are_those_of_the_literature() -> None:
    questions = [Question("1", "", "", ("A cat sat.",)), Question("2", "", "", ("A dog.",))]
    figures = benchmark("nocaps").metrics(questions, ["a cat", "A dog!"])
    assert figures["cider"] == pytest.approx(100 * sum(cider(questions, ["a cat", "A dog!"])) / 2)
    assert figures["accuracy"] == pytest.approx(figures["cider"] / 1000)


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [  # what Stanford CoreNLP 3.4.1 gives through pycocoevalcap
        ("A man's dog isn't red.", "a man 's dog is n't red"),
        ("Two dogs, one cat; and a bird!", "two dogs one cat and a bird"),
        ('A sign that reads "STOP".', "a sign that reads stop"),
        ("black-and-white photo -- nice", "black-and-white photo nice"),
        ("a man (left) [right]", "a man -lrb- left -rrb- -lsb- right -rsb-"),
        ("at 10:30 a.m. in the U.S.", "at 10:30 a.m. in the u.s."),
        ("Mr. Smith's $5 bill 10% off #1", "mr. smith 's $ 5 bill 10 % off # 1"),
        ("1,000 people and/or 3.5 m", "1,000 people and/or 3.5 m"),
        ("I cannot. They've gonna", "i can not they 've gon na"),
        ("rock 'n' roll of the '90s", "rock 'n' roll of the '90s"),
        ("wow!! what?! end ..", "wow !! what ?! end"),
        ("No. 5 is no.", "no. 5 is no"),
        ("22 3/4 st.", "22\u00a03/4 st."),
        ("café naïve", "café naïve"),
        ("", ""),
    ],
)
def test_tokens_are_those_of_the_stanford_tokenizer(caption: str, tokens: str) -> None:
    assert ptb.built_in(caption) == tokens


@pytest.mark.skipif(
    ptb.tokenizer_in_use() != "Stanford PTB (Java)", reason="needs Java and pycocoevalcap for the original"
)
def test_the_original_agrees() -> None:
    captions = ["A man's dog isn't red.", 'A "big" (left) sign -- 10:30 a.m.', "No. 5 is no.", "wow!! .."]
    assert ptb.tokenize(captions) == [ptb.built_in(caption) for caption in captions]
