"""VQAv2: open short answers about colors, shapes, sizes and counts; soft accuracy over ten annotators.

Source: Goyal et al., Making the V in VQA Matter (CVPR 2017). Official files: the validation questions and
annotations of visualqa.org, and COCO's val2014 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from objectives.benchmarks.base import Hub, PublishedBenchmark, Question, question
from objectives.benchmarks.labels import read_each, texts, wording
from objectives.benchmarks.rules.vqa import evalai, vqa_accuracy
from objectives.json_files import field, find, read_json
from objectives.scenes import COLORS, KINDS, Scene
from objectives.scenes.refer import by_color, by_kind, plural, unique

_QUESTIONS = "v2_OpenEnded_mscoco_val2014_questions.json"
_ANNOTATIONS = "v2_mscoco_val2014_annotations.json"


class VQAv2(PublishedBenchmark):
    """Open questions with ten annotators."""

    name = "vqav2"
    title = "VQAv2"
    hub = Hub("lmms-lab/VQAv2", "validation")
    image_folders = ("val2014", "images")

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        pool: dict[str, list[tuple[str, str]]] = {
            "color": [(f"What color is the {n}?", t.color) for n, t in by_kind(scene)],
            "shape": [(f"What is the {n}?", t.kind) for n, t in by_color(scene)],
            "size": [
                (f"What size is the {n}?", t.size)
                for n, t in unique(scene.things, lambda t: f"{t.color} {t.kind}")
                if t.kind != "sign"
            ],
            "count": [(f"How many {plural(k)} are there?", str(scene.count(kind=k))) for k in KINDS]
            + [(f"How many {c} objects are there?", str(scene.count(color=c))) for c in COLORS],
        }
        pool["count"] = [pair for pair in pool["count"] if pair[1] != "0" and int(pair[1]) <= 5]
        picked = []
        categories = rng.permutation(sorted(k for k, v in pool.items() if v)).tolist()
        for ordinal, category in enumerate(categories[:2]):
            text, answer = _pick(rng, pool[category])
            answers = _annotators(rng, answer, [a for _, a in pool[category]])
            picked.append(question(scene, ordinal, text, answers, category=category))
        return picked

    def target(self, question: Question) -> str:
        return max(question.answers, key=question.answers.count)

    def score(self, question: Question, answer: str) -> float:
        return vqa_accuracy(answer, question.answers)

    def submitted(self, answer: str) -> str:
        """Apply the EvalAI processor, as LLaVA does to its answers before it submits them to VQAv2's server."""
        return evalai(answer)

    def metrics(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
        """Return the accuracy of the answers as they are, and after LLaVA's conversion (`accuracy_evalai`)."""
        converted = self.scores(questions, [evalai(answer) for answer in answers])
        return super().metrics(questions, answers) | {"accuracy_evalai": float(np.mean(converted))}

    def official(self, path: Path) -> list[Question]:
        """Read the annotations, which alone are enough to score answers, and the texts from the questions file."""
        annotations = find(path, [_ANNOTATIONS], "VQAv2 annotations")
        beside = annotations.with_name(_QUESTIONS)
        wording = {}
        if path.is_dir() or beside.is_file():
            questions = read_json(find(path if path.is_dir() else beside, [_QUESTIONS], "VQAv2 questions"))
            wording = {q["question_id"]: q["question"] for q in field(questions, "questions", beside)}
        rows = field(read_json(annotations), "annotations", annotations)
        records = ({"question": wording.get(row.get("question_id"), ""), **row} for row in rows)
        return read_each(self.row, records, annotations)

    def row(self, row: Mapping[str, Any], index: int) -> Question:
        """Return the question of an annotation or of a hub record, which have the same fields."""
        answers = texts([note["answer"] for note in field(row, "answers", self.title)])
        image = f"COCO_val2014_{int(row['image_id']):012d}.jpg" if "image_id" in row else ""
        category = str(row.get("answer_type", ""))
        return Question(str(row["question_id"]), image, wording(row["question"]), answers, category=category)


def _pick(rng: np.random.Generator, pairs: list[tuple[str, str]]) -> tuple[str, str]:
    """Draw a pair with equal probability for every answer, so that no answer is a safe guess."""
    answers = sorted({answer for _, answer in pairs})
    wanted = answers[rng.integers(len(answers))]
    same = [pair for pair in pairs if pair[1] == wanted]
    return same[rng.integers(len(same))]


def _annotators(rng: np.random.Generator, answer: str, slips: list[str]) -> tuple[str, ...]:
    """Return ten answers, of which up to three are wrong."""
    wrong = rng.integers(0, 4)
    answers = [answer] * (10 - wrong) + [slips[i] for i in rng.integers(0, len(slips), wrong)]
    return tuple(answers[i] for i in rng.permutation(10))
