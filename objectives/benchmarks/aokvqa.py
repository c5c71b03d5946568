"""A-OKVQA: questions that need knowledge beyond the image, here a rule stated in the question.

Source: Schwenk et al., A-OKVQA (ECCV 2022), `evaluation/eval_predictions.py` of allenai/aokvqa. Two settings:
multiple choice (exact choice) and direct answer (min(1, matching annotators / 3), nobody left out).
Official files: aokvqa_v1p0_val.json and COCO's val2017 images.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from objectives.benchmarks.base import OPTION_LETTER, SHORT_ANSWER, Hub, PublishedBenchmark, Question, question
from objectives.benchmarks.labels import letter, read_each, texts, wording
from objectives.benchmarks.rules.choices import read_letter
from objectives.json_files import field, find, read_rows
from objectives.scenes import COLORS, Scene
from objectives.scenes.refer import by_kind, choices

CODE_WORDS = ("stop", "wait", "turn", "slow", "run", "jump")


class AOKVQA(PublishedBenchmark):
    """The multiple-choice setting.

    An embedded question states a code word for a kind and asks for the color of the thing with that code word. The
    wrong options are the colors of other things in the scene, where it has enough, so that only the rule helps.
    """

    name = "aokvqa"
    title = "A-OKVQA"
    suffix = OPTION_LETTER
    hub = Hub("HuggingFaceM4/A-OKVQA", "validation")
    image_folders = ("val2017", "images")

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        things = by_kind(scene)
        questions = []
        for ordinal, i in enumerate(rng.permutation(len(things))[:2]):
            kind, thing = things[i]
            code = CODE_WORDS[rng.integers(len(CODE_WORDS))]
            colors = [*(t.color for name, t in things if name != kind), *rng.permutation(COLORS).tolist()]
            wrong = [color for color in dict.fromkeys(colors) if color != thing.color]
            options, right = choices(rng, thing.color, wrong[:2], 3)
            text = f"{code} means {kind}. What color is the {code}?"
            questions.append(question(scene, ordinal, text, right, choices=options))
        return questions

    def score(self, question: Question, answer: str) -> float:
        """Return 1 for the right choice, by its letter or, as in the official predictions, by its words."""
        if answer in question.choices:
            return float(chr(65 + question.choices.index(answer)) == question.answers[0])
        return float(read_letter(question, answer) == question.answers[0])

    def official(self, path: Path) -> list[Question]:
        file = find(path, ["aokvqa_v1p0_val.json"], "A-OKVQA annotations")
        return read_each(self.row, read_rows(file), file)

    def row(self, row: Mapping[str, Any], index: int) -> Question:
        right = letter(field(row, "correct_choice_idx", self.title), field(row, "choices", self.title))
        return replace(_unanswered(row), answers=(right,), choices=tuple(row["choices"]))


class AOKVQADirect(PublishedBenchmark):
    """The direct-answer setting, without the questions that the benchmark marks as too difficult for it."""

    name = "aokvqa-direct"
    title = "A-OKVQA, direct answer"
    suffix = SHORT_ANSWER
    hub = AOKVQA.hub
    image_folders = AOKVQA.image_folders

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        solved = [(q, q.choices[ord(q.answers[0]) - 65]) for q in AOKVQA().ask(scene, rng)]
        return [replace(q, answers=(answer,) * 10, choices=()) for q, answer in solved]

    def score(self, question: Question, answer: str) -> float:
        return min(1.0, question.answers.count(answer) / 3)

    def submitted(self, answer: str) -> str:
        """Write the answer as annotators did: in lower case, without a final period."""
        return answer.strip().rstrip(".").lower()

    def official(self, path: Path) -> list[Question]:
        file = find(path, ["aokvqa_v1p0_val.json"], "A-OKVQA annotations")
        records = [row for row in read_rows(file) if not row.get("difficult_direct_answer")]
        return read_each(self.row, records, file)

    def row(self, row: Mapping[str, Any], index: int) -> Question:
        """Return the question of a record; the hub writes the list of answers as one string."""
        answers = field(row, "direct_answers", self.title)
        return replace(_unanswered(row), answers=texts(_listed(answers)))


def _listed(answers: Any) -> Any:
    """Return the value of a list that is written as a string; what is no list stays as it is."""
    try:
        return literal_eval(answers) if isinstance(answers, str) else answers
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return answers


def _unanswered(row: Mapping[str, Any]) -> Question:
    image = f"{int(row['image_id']):012d}.jpg" if "image_id" in row else ""
    text = wording(field(row, "question", AOKVQA.title))
    return Question(str(field(row, "question_id", AOKVQA.title)), image, text, ())
