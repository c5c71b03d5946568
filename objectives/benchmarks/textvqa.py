"""TextVQA: read the word or letter that a question points at; VQA accuracy over ten annotators.

Source: Singh et al., Towards VQA Models That Can Read (CVPR 2019). Official files: TextVQA 0.5.1 validation.
With Rosetta's OCR tokens beside them, prompts carry the tokens as LLaVA-1.5's do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from objectives.benchmarks.base import Hub, PublishedBenchmark, Question, question
from objectives.benchmarks.labels import read_each, texts, wording
from objectives.benchmarks.rules.vqa import textvqa_accuracy
from objectives.json_files import field, find, read_json
from objectives.scenes import Scene
from objectives.scenes.refer import unique

_ANNOTATIONS = "TextVQA_0.5.1_val.json"
_OCR = "TextVQA_Rosetta_OCR_v0.2_val.json"


class TextVQA(PublishedBenchmark):
    """Words and letters in the image."""

    name = "textvqa"
    title = "TextVQA"
    hub = Hub("lmms-lab/textvqa", "validation")
    image_folders = ("train_images", "images")

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        signs = unique(scene.having(kind="sign"), lambda t: f"What word is on the {t.color} sign?")
        letters = unique(scene.having(kind="letter"), lambda t: f"What is written in {t.color}?")
        pool = [*signs, *letters]
        picked = [pool[i] for i in rng.permutation(len(pool))[:2]]
        return [
            question(scene, i, text, (thing.text,) * 10, category=thing.kind) for i, (text, thing) in enumerate(picked)
        ]

    def score(self, question: Question, answer: str) -> float:
        return textvqa_accuracy(answer, question.answers)

    def official(self, path: Path) -> list[Question]:
        annotations = find(path, [_ANNOTATIONS], "TextVQA annotations")
        ocr: dict[str, list[str]] = {}
        if (beside := annotations.with_name(_OCR)).is_file():
            ocr = {row["image_id"]: row["ocr_tokens"] for row in field(read_json(beside), "data", beside)}
        rows = field(read_json(annotations), "data", annotations)
        records = ({"ocr_tokens": ocr.get(row.get("image_id"), []), **row} for row in rows)
        return read_each(self.row, records, annotations)

    def row(self, row: Mapping[str, Any], index: int) -> Question:
        """Return the question of an annotation or of a hub record, which have the same fields."""
        answers = texts(field(row, "answers", self.title))
        tokens = ", ".join(row.get("ocr_tokens") or [])
        asked = wording(row["question"])
        text = f"{asked}\nReference OCR token: {tokens}" if tokens else asked
        return Question(str(row["question_id"]), f"{row['image_id']}.jpg", text, answers)
