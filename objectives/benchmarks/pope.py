"""POPE: is there a ... in the image? Random, popular and adversarial absent objects; accuracy and F1.

Source: Li et al., Evaluating Object Hallucination in Large Vision-Language Models (EMNLP 2023), its
repository's evaluate.py (lmms-eval instead takes the whole answer, in lower case, for yes or no).
Official files: the three of its output/coco, and COCO's val2014 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from objectives.benchmarks.base import Hub, PublishedBenchmark, Question, question
from objectives.benchmarks.labels import read_each, wording, yes_or_no
from objectives.benchmarks.rules.choices import read_pope
from objectives.json_files import field, find, read_rows
from objectives.scenes import KINDS, Scene
from objectives.scenes.scene import COMPANION, FREQUENCY

_STRATEGIES = ("random", "popular", "adversarial")


class POPE(PublishedBenchmark):
    """Pairs of a question for a present object and one for an absent object."""

    name = "pope"
    title = "POPE"
    hub = Hub("lmms-lab/POPE", "test")
    image_folders = ("val2014", "images")

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        present = sorted({t.kind for t in scene.things})
        absent = [k for k in KINDS if k not in present]
        if not absent:
            return []
        strategy = _STRATEGIES[rng.integers(3)]
        pair = [(present[rng.integers(len(present))], "yes"), (_absent(rng, strategy, present, absent), "no")]
        return [
            question(scene, i, f"Is there a {kind} in the image?", answer, category=strategy, group=scene.key)
            for i, (kind, answer) in enumerate(pair)
        ]

    def score(self, question: Question, answer: str) -> float:
        return float(read_pope(answer) == question.answers[0])

    def metrics(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
        """Return the figures over all questions, and by strategy ("f1_popular") where there are several."""
        yes = np.array([read_pope(a) == "yes" for a in answers])
        true = np.array([q.answers[0] == "yes" for q in questions])
        figures = _figures(yes, true)
        categories = np.array([q.category for q in questions])
        strategies = sorted(set(categories.tolist()))
        for strategy in strategies if len(strategies) > 1 else ():
            part = categories == strategy
            by_strategy = _figures(yes[part], true[part])
            figures |= {f"{name}_{strategy}": value for name, value in by_strategy.items()}
        return figures

    def official(self, path: Path) -> list[Question]:
        """Read the strategies that are in a folder, or the one in a file."""
        if path.is_file():
            return self._strategy(path, next((s for s in _STRATEGIES if s in path.stem), ""))
        files = {s: name for s in _STRATEGIES for name in path.rglob(f"*pope_{s}.json")}
        if not files:
            find(path, [f"coco_pope_{s}.json" for s in _STRATEGIES], "POPE labels")
        return [q for strategy, file in files.items() for q in self._strategy(file, strategy)]

    def _strategy(self, path: Path, strategy: str) -> list[Question]:
        return read_each(self.row, ({"category": strategy, **row} for row in read_rows(path)), path, "line")

    def row(self, row: Mapping[str, Any], index: int) -> Question:
        """Return the question of a record; two in a row are a pair, of a present and an absent object.

        Official labels have the fields text and label, the hub question and answer.
        """
        answer = yes_or_no(row["label"] if "label" in row else field(row, "answer", self.title))
        text = wording(row["text"] if "text" in row else field(row, "question", self.title))
        name = row["image"] if isinstance(row.get("image"), str) else f"{row.get('image_source', '')}.jpg"
        category, number = str(row.get("category", "")), str(row.get("question_id", index))
        group = f"{category}-{name}-{index // 2}"
        return Question(f"{category}-{number}", name, text, (answer,), category=category, group=group)


def _figures(yes: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Return POPE's figures for answers and labels: (questions,) booleans, True for yes."""
    hits = float((yes & true).sum())
    precision = hits / max(1.0, float(yes.sum()))
    recall = hits / max(1.0, float(true.sum()))
    return {
        "accuracy": float((yes == true).mean()),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
        "yes_ratio": float(yes.mean()),
    }


def _absent(rng: np.random.Generator, strategy: str, present: list[str], absent: list[str]) -> str:
    """Draw an absent kind: any, the most frequent one, or the companion of a present kind."""
    if strategy == "adversarial":
        tempting = [k for k in absent if any(COMPANION.get(p) == k or COMPANION.get(k) == p for p in present)]
        if tempting:
            return tempting[rng.integers(len(tempting))]
    if strategy == "random":
        return absent[rng.integers(len(absent))]
    return max(absent, key=lambda k: FREQUENCY[KINDS.index(k)])
