"""MME: its pairs, its truth and accuracy+."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from objectives.benchmarks import Question, benchmark
from objectives.scenes import COLORS, Scene, Thing
from tests.objectives import published_scores
from tests.objectives.benchmark_conformance import MANY, Conformance, only, parsed, questions

MME = benchmark("mme")


class TestMME(Conformance):
    name = "mme"
    fingerprint = 1092263959
    best_guess = 0.52

    def wrong(self, question: Question) -> str:
        return "no" if question.answers[0] == "yes" else "yes"

    def truth(self, question: Question, scene: Scene) -> str:
        return "yes" if getattr(self, f"_{question.category.lower()}")(question, scene) else "no"

    def _existence(self, question: Question, scene: Scene) -> bool:
        color, kind = parsed(r"Is there a (\w+) (\w+) in this image\?", question) or ("", "")
        return scene.count(kind=kind, color=color) > 0

    def _count(self, question: Question, scene: Scene) -> bool:
        n, name = parsed(r"Are there (\d) ([\w ]+) in this image\?", question) or ("", "")
        if name.endswith(" objects"):
            return scene.count(color=name.removesuffix(" objects")) == int(n)
        kind = "cross" if name == "crosses" else name.removesuffix("s")
        return scene.count(kind=kind) == int(n)

    def _position(self, question: Question, scene: Scene) -> bool:
        first, how, second = parsed(r"Is the (\w+) (left of|above) the (\w+)\?", question) or ("", "", "")
        a, b = (scene.things[only(scene, kind)] for kind in (first, second))
        return a.column < b.column if how == "left of" else a.row < b.row

    def _color(self, question: Question, scene: Scene) -> bool:
        kind, color = parsed(r"Is the (\w+) (\w+)\?", question) or ("", "")
        return scene.things[only(scene, kind)].color == color

    def _ocr(self, question: Question, scene: Scene) -> bool:
        color, word = parsed(r"Is the word on the (\w+) sign (\w+)\?", question) or ("", "")
        return scene.things[only(scene, "sign", color)].text == word

    def test_every_image_has_one_true_and_one_false_question(self) -> None:
        pairs: dict[tuple[str, str], list[str]] = defaultdict(list)
        for q in questions(self.name, "validation", MANY):
            pairs[q.category, q.group] += q.answers
        assert {tuple(answers) for answers in pairs.values()} == {("yes", "no")}

    def test_all_five_categories_are_asked(self) -> None:
        seen = Counter(q.category for q in questions(self.name, "validation", MANY))
        assert set(seen) == {"existence", "count", "position", "color", "OCR"}
        assert min(seen.values()) >= 50


def test_accuracy_plus_wants_both_questions_of_an_image() -> None:
    """Three images, six questions, one wrong: accuracy 5/6, but only two of the three pairs are right."""
    sample = [
        Question(f"{image}-{answer}", image, "?", (answer,), category="color", group=image)
        for image in ("a", "b", "c")
        for answer in ("yes", "no")
    ]
    figures = MME.metrics(sample, ["yes", "no", "Yes", "Yes", "yes.", "No"])
    points = 100 * (5 / 6 + 2 / 3)
    expected = {"accuracy": 5 / 6, "accuracy_plus": 2 / 3, "color": points, "perception": points}
    assert figures == pytest.approx(expected)


def test_categories_of_one_image_are_pairs_of_their_own() -> None:
    """Both questions of "color" right, one of "count" wrong: half the pairs, not none of them."""
    sample = [
        Question(f"{category}-{answer}", "a", "?", (answer,), category=category, group="a")
        for category in ("color", "count")
        for answer in ("yes", "no")
    ]
    figures = MME.metrics(sample, ["yes", "no", "no", "no"])
    assert (figures["accuracy"], figures["accuracy_plus"]) == (3 / 4, 1 / 2)
    assert (figures["color"], figures["count"], figures["perception"]) == (200, 50, 250)
    assert "cognition" not in figures


def test_a_kind_that_is_there_in_every_color_asks_something_else() -> None:
    """No color is left for the question whose answer is no."""
    things = tuple(Thing("star", color, False, i // 4, i % 4) for i, color in enumerate(COLORS))
    crowded = Scene("test", 0, 4, 4, things, 0)
    sample = [MME.ask(crowded, np.random.default_rng(seed)) for seed in range(40)]
    assert all(len(pair) == 2 for pair in sample)
    assert {pair[0].category for pair in sample} == {"count"}


def test_the_published_scores_of_a_published_model() -> None:
    sample = [
        (Question("", one.image, one.text, (one.label.lower(),), category=category, group=one.image), one.answer)
        for category in published_scores.MME
        for one in published_scores.mme(category)
    ]
    assert len(sample) == 2374
    figures = MME.metrics(*map(list, zip(*sample, strict=True)))
    assert figures["existence"] == pytest.approx(185)
    assert figures["perception"] == pytest.approx(published_scores.PERCEPTION, abs=5e-4)
    assert figures["cognition"] == pytest.approx(published_scores.COGNITION, abs=5e-4)
