"""MME: its pairs, its truth and accuracy+."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from objectives.benchmarks import Question, benchmark
from objectives.scenes import COLORS, Scene, Thing
from tests.objectives.benchmark_conformance import MANY, Conformance, only, parsed, questions

GOLDEN = Path(__file__).resolve().parents[3].parent / "shared" / "golden" / "mme"
MME = benchmark("mme")
published_answers = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the published answers are not beside this checkout")
COGNITION = {"commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"}


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
    asked = [
        Question(f"{image}-{answer}", image, "?", (answer,), category="color", group=image)
        for image in ("a", "b", "c")
        for answer in ("yes", "no")
    ]
    figures = MME.metrics(asked, ["yes", "no", "Yes", "Yes", "yes.", "No"])
    points = 100 * (5 / 6 + 2 / 3)
    expected = {"accuracy": 5 / 6, "accuracy_plus": 2 / 3, "color": points, "perception": points}
    assert figures == pytest.approx(expected)


def test_categories_of_one_image_are_pairs_of_their_own() -> None:
    """Both questions of "color" right, one of "count" wrong: half the pairs, not none of them."""
    asked = [
        Question(f"{category}-{answer}", "a", "?", (answer,), category=category, group="a")
        for category in ("color", "count")
        for answer in ("yes", "no")
    ]
    figures = MME.metrics(asked, ["yes", "no", "no", "no"])
    assert (figures["accuracy"], figures["accuracy_plus"]) == (3 / 4, 1 / 2)
    assert (figures["color"], figures["count"], figures["perception"]) == (200, 50, 250)
    assert "cognition" not in figures


def test_a_kind_that_is_there_in_every_color_asks_something_else() -> None:
    """No color is left for the question whose answer is no."""
    things = tuple(Thing("star", color, False, i // 4, i % 4) for i, color in enumerate(COLORS))
    crowded = Scene("test", 0, 4, 4, things, 0)
    asked = [MME.ask(crowded, np.random.default_rng(seed)) for seed in range(40)]
    assert all(len(pair) == 2 for pair in asked)
    assert {pair[0].category for pair in asked} == {"count"}


def published() -> dict[str, list[tuple[Question, str]]]:
    """The published answers by category, each with its official truth."""
    truth = {}
    for file in (GOLDEN / "truth").glob("*.txt"):
        for line in file.read_text().splitlines():
            image, text, answer = line.split("\t")
            text = text.replace("Please answer yes or no.", "")
            truth[file.stem, image, " ".join(text.split())] = answer.lower()
    found: dict[str, list[tuple[Question, str]]] = defaultdict(list)
    for i, line in enumerate((GOLDEN / "llava-v1.5-13b.jsonl").open()):
        row = json.loads(line)
        path = Path(row["question_id"])
        text = row["prompt"].replace("Answer the question using a single word or phrase.", "")
        text = " ".join(text.replace("Please answer yes or no.", "").split())
        answer = truth[path.parts[0], path.name, text]
        question = Question(str(i), path.name, text, (answer,), category=path.parts[0], group=path.name)
        found[path.parts[0]].append((question, row["text"]))
    return found


def total(categories: dict[str, list[tuple[Question, str]]]) -> float:
    """MME's sum of accuracy and accuracy+, in percent, over categories."""
    figures = [MME.metrics([q for q, _ in rows], [a for _, a in rows]) for rows in categories.values()]
    return sum(100 * (each["accuracy"] + each["accuracy_plus"]) for each in figures)


@published_answers
def test_the_published_cognition_score_of_a_published_model() -> None:
    found = {name: rows for name, rows in published().items() if name in COGNITION}
    assert total(found) == pytest.approx(295.357, abs=5e-4)


@published_answers
def test_the_published_perception_score_of_a_published_model() -> None:
    found = {name: rows for name, rows in published().items() if name not in COGNITION}
    assert total(found) == pytest.approx(1531.319, abs=5e-4)
