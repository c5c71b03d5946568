"""What every benchmark must hold: its test file subclasses `Conformance` and says what is its own."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import replace
from functools import cache, lru_cache
from typing import ClassVar

import pytest

from objectives.benchmarks import PublishedBenchmark, Question, benchmark
from objectives.data.embedded import embedded_questions
from objectives.scenes import SPLITS, Scene, make_scene

MANY = 500
scene = lru_cache(maxsize=None)(make_scene)


@cache
def questions(name: str, split: str, n: int) -> tuple[Question, ...]:
    return tuple(embedded_questions(benchmark(name), split, n))


def scene_of(question: Question) -> Scene:
    split, _, index = question.image.rpartition("-")
    return scene(split, int(index))


class Conformance:
    """Subclass as `class TestMine(Conformance)`; `wrong` and `truth` are the benchmark's own."""

    name: ClassVar[str]
    fingerprint: ClassVar[int]  # of the first 200 validation questions; the shipped minis learned these words
    best_guess: ClassVar[float]  # what the best constant answer may score: above, the questions are too easy

    def wrong(self, question: Question) -> str:
        """An answer that is not right."""
        raise NotImplementedError

    def truth(self, question: Question, scene: Scene) -> str:
        """The right answer, found again from the words of the question and the scene alone."""
        raise NotImplementedError

    @pytest.fixture
    def mine(self) -> PublishedBenchmark:
        return benchmark(self.name)

    @pytest.fixture
    def many(self) -> tuple[Question, ...]:
        return questions(self.name, "validation", MANY)

    def test_the_words_of_the_questions_never_change(self, mine: PublishedBenchmark) -> None:
        sample = questions(self.name, "validation", 200)
        contents = [(q.id, q.image, q.answers, mine.prompt(q), mine.target(q)) for q in sample]
        assert zlib.crc32(repr(contents).encode()) == self.fingerprint

    def test_asking_again_gives_the_same(self, mine: PublishedBenchmark, many: tuple[Question, ...]) -> None:
        assert embedded_questions(mine, "validation", 60) == list(many[:60])

    def test_ids_are_unique_and_name_the_image(self, many: tuple[Question, ...]) -> None:
        assert len({q.id for q in many}) == len(many) == MANY
        assert all(q.id.startswith(f"{q.image}-") for q in many)

    def test_a_larger_subset_begins_with_the_smaller(self, many: tuple[Question, ...]) -> None:
        assert questions(self.name, "validation", 200) == many[:200]

    def test_no_subset_cuts_a_group_in_two(self, mine: PublishedBenchmark, many: tuple[Question, ...]) -> None:
        for n in (1, 2, 3, 20, 21):
            chosen = embedded_questions(mine, "validation", n)
            groups = {q.group for q in chosen} - {""}
            assert [q.group for q in many if q.group in groups] == [q.group for q in chosen if q.group]
            assert len(chosen) in ((2,) if groups and n == 1 else (n, n - 1 if groups else n))

    def test_no_image_is_in_two_splits(self) -> None:
        images = [{q.image for q in questions(self.name, split, 200)} for split in SPLITS]
        assert sum(map(len, images)) == len(set.union(*images))
        contents = [{scene_of(q).things for q in questions(self.name, split, 200)} for split in SPLITS]
        assert sum(map(len, contents)) == len(set.union(*contents))

    def test_targets_score_one(self, mine: PublishedBenchmark, many: tuple[Question, ...]) -> None:
        targets = [mine.target(q) for q in many]
        assert mine.scores(many, targets) == pytest.approx([1.0] * MANY)
        assert mine.metrics(many, targets)["accuracy"] == pytest.approx(1.0)

    def test_wrong_answers_score_less(self, mine: PublishedBenchmark, many: tuple[Question, ...]) -> None:
        assert all(0 <= score < 1 for score in mine.scores(many, [self.wrong(q) for q in many]))
        assert mine.metrics(many, [self.wrong(q) for q in many])["accuracy"] < 0.5

    def test_targets_are_true_of_the_scene(self, mine: PublishedBenchmark, many: tuple[Question, ...]) -> None:
        for q in many:
            assert mine.target(q) == self.truth(q, scene_of(q)), q

    def test_accuracy_is_the_mean_score(self, mine: PublishedBenchmark, many: tuple[Question, ...]) -> None:
        answers = [mine.target(q) if i % 3 else self.wrong(q) for i, q in enumerate(many)]
        mean = sum(mine.scores(many, answers)) / len(many)
        assert mine.metrics(many, answers)["accuracy"] == pytest.approx(mean)

    def test_the_prompt_is_the_question_the_options_and_the_ending(
        self, mine: PublishedBenchmark, many: tuple[Question, ...]
    ) -> None:
        for q in many:
            options = [f"{letter}. {choice}" for letter, choice in zip("ABCDE", q.choices, strict=False)]
            assert mine.prompt(q).split("\n") == [q.text, *options, mine.suffix]

    def test_nothing_of_the_answer_reaches_the_prompt(
        self, mine: PublishedBenchmark, many: tuple[Question, ...]
    ) -> None:
        for q in many[:50]:
            assert mine.prompt(replace(q, answers=("?",) * len(q.answers), group="", id="")) == mine.prompt(q)

    def test_no_constant_answer_does_well(self, mine: PublishedBenchmark, many: tuple[Question, ...]) -> None:
        commonest = [answer for answer, _ in Counter(mine.target(q) for q in many).most_common(3)]
        for answer in commonest:
            assert mine.metrics(many, [answer] * MANY)["accuracy"] <= self.best_guess

    def test_an_empty_answer_is_read_without_complaint(self, mine: PublishedBenchmark) -> None:
        assert mine.score(questions(self.name, "validation", 1)[0], "") in (0.0, 1.0)


def parsed(pattern: str, question: Question) -> tuple[str, ...] | None:
    """The groups of `pattern` if it is the whole question."""
    result = re.fullmatch(pattern, question.text)
    return result.groups() if result else None


def only(scene: Scene, kind: str | None = None, color: str | None = None) -> int:
    """The number of the one thing that fits; fails where there are several, so no question is ambiguous."""
    fitting = [i for i, t in enumerate(scene.things) if kind in (None, t.kind) and color in (None, t.color)]
    assert len(fitting) == 1, (kind, color)
    return fitting[0]
