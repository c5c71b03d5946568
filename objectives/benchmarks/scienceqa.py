"""ScienceQA: multiple choice about the image, answered by an option's letter.

Source: Lu et al., Learn to Explain (NeurIPS 2022); answer parsing as in LLaVA's evaluation, which extends the
benchmark's own "The answer is X." Official files: problems.json, pid_splits.json and the images of its test
split. Answers to questions without an image are scored too; a model here gets only those with an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from objectives.benchmarks.base import OPTION_LETTER, Hub, PublishedBenchmark, Question, question
from objectives.benchmarks.labels import letter, read_each, wording
from objectives.benchmarks.rules.choices import read_letter
from objectives.json_files import field, find, read_json
from objectives.scenes import COLORS, KINDS, Scene
from objectives.scenes.refer import by_color, by_kind, choices


class ScienceQA(PublishedBenchmark):
    """Multiple choice by letter."""

    name = "scienceqa"
    title = "ScienceQA"
    hub = Hub("lmms-lab/ScienceQA", "test", "ScienceQA-IMG")
    image_folders = ("test", "images/test", "images")
    suffix = OPTION_LETTER

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        pool: list[tuple[str, str, tuple[str, ...]]]
        pool = [(f"What color is the {n}?", t.color, COLORS) for n, t in by_kind(scene)]
        pool += [(f"What is the {n}?", t.kind, KINDS) for n, t in by_color(scene)]
        questions = []
        for ordinal, i in enumerate(rng.permutation(len(pool))[:2]):
            text, answer, others = pool[i]
            options, right = choices(rng, answer, others, 4)
            questions.append(question(scene, ordinal, text, right, choices=options))
        return questions

    def score(self, question: Question, answer: str) -> float:
        return float(read_letter(question, answer) == question.answers[0])

    def metrics(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
        """Return the accuracy over all questions and, where some lack an image, over those that have one."""
        figures = super().metrics(questions, answers)
        seen = [(q, a) for q, a in zip(questions, answers, strict=True) if q.image]
        if 0 < len(seen) < len(questions):
            figures["accuracy_image"] = super().metrics(*zip(*seen, strict=True))["accuracy"]
        return figures

    def official(self, path: Path) -> list[Question]:
        """Read the test split, if pid_splits.json or the problems name it, else all problems."""
        file = find(path, ["problems.json"], "ScienceQA problems")
        problems = read_json(file)
        splits = file.with_name("pid_splits.json")
        chosen = read_json(splits)["test"] if splits.is_file() else list(problems)
        rows = [{**field(problems, pid, file), "pid": pid} for pid in chosen]
        test = [row for row in rows if row.get("split", "test") == "test"]
        return read_each(self.row, test, file)

    def row(self, row: Mapping[str, Any], index: int) -> Question:
        choices = tuple(field(row, "choices", self.title))
        name = str(row.get("pid", index))
        image = f"{name}/image.png" if row.get("image") is not None else ""
        asked = wording(row["question"])
        text = f"Context: {wording(row['hint'])}\n{asked}" if row.get("hint") else asked
        right = letter(field(row, "answer", self.title), choices)
        return Question(name, image, text, (right,), choices, category=str(row.get("subject", "")))
