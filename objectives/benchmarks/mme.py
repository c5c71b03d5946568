"""MME: two yes/no questions on one image, one true and one false; accuracy and accuracy+.

Source: Fu et al., MME (arXiv 2306.13394), `calculation.py` of its evaluation tool (lmms-eval drops periods
and also reads "y" and "n"). The embedded form has five of its categories. Official files: the released
folder, or the tool's one text file a category with image, question and answer between tabs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from objectives.benchmarks.base import Hub, PublishedBenchmark, Question, question
from objectives.benchmarks.labels import read_each, wording, yes_or_no
from objectives.benchmarks.rules.choices import read_mme
from objectives.errors import DataError
from objectives.json_files import field, read_text
from objectives.scenes import COLORS, KINDS, WORDS, Scene
from objectives.scenes.refer import by_kind, plural, unique

Pair = tuple[str, str]
PERCEPTION = ("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR")
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
_YES_OR_NO = "Please answer yes or no."


class MME(PublishedBenchmark):
    """Pairs of yes/no questions on one image."""

    name = "mme"
    title = "MME"
    hub = Hub("lmms-lab/MME", "test")
    image_folders = (".",)

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        for category in rng.permutation(sorted(_MAKERS)).tolist():
            pair = _MAKERS[category](scene, rng)
            if pair:
                return [
                    question(scene, i, text, answer, category=category, group=scene.key)
                    for i, (text, answer) in enumerate(zip(pair, ("yes", "no"), strict=True))
                ]
        return []

    def score(self, question: Question, answer: str) -> float:
        return float(read_mme(answer) == question.answers[0])

    def metrics(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
        """Return both accuracies over all questions, and the points of the categories that are there.

        A category has up to 200 points; their sums are `perception` (up to 2000) and `cognition` (up to 800).
        """
        images: dict[tuple[str, str], list[float]] = defaultdict(list)
        for q, s in zip(questions, self.scores(questions, answers), strict=True):
            images[q.category, q.group].append(s)
        figures = dict(zip(("accuracy", "accuracy_plus"), _accuracies(images.values()), strict=True))
        for part, categories in (("perception", PERCEPTION), ("cognition", COGNITION)):
            points = {
                name: 100 * sum(_accuracies([pair for (c, _), pair in images.items() if c == name]))
                for name in categories
                if any(c == name for c, _ in images)
            }
            figures |= points | ({part: sum(points.values())} if points else {})
        return figures

    def official(self, path: Path) -> list[Question]:
        """Read one text file per category, or the release, where each image has a text file of its own."""
        if path.is_file():
            return self._category(path)
        files = [path / f"{name}.txt" for name in (*PERCEPTION, *COGNITION)]
        files = [file for file in files if file.is_file()]
        if files:
            return [q for file in files for q in self._category(file)]
        questions = [q for name in (*PERCEPTION, *COGNITION) for q in self._released(path, name)]
        if not questions:
            raise DataError(f"found no MME questions in {path}; expected existence.txt, or existence/, and so on")
        return questions

    def _category(self, path: Path) -> list[Question]:
        def official(line: str, index: int) -> Question:
            parts = line.split("\t")
            if len(parts) not in (3, 4):
                raise DataError(f"got {len(parts)} fields; expected image, question and answer")
            return _official(path.stem, parts[0], parts[1], parts[2], index + 1)

        return read_each(official, read_text(path).splitlines(), path, "line")

    def _released(self, root: Path, category: str) -> Iterator[Question]:
        folder = root / category
        texts = folder / "questions_answers_YN" if (folder / "questions_answers_YN").is_dir() else folder
        images = {p.stem: p for p in (*folder.glob("*.[jp][pn]g"), *folder.glob("images/*.[jp][pn]g"))}

        def official(line: str, index: int, image: str) -> Question:
            text, _, answer = line.rpartition("\t")
            return _official(category, image, text, answer, index + 1)

        for path in sorted(texts.glob("*.txt")):
            image = images.get(path.stem, folder / f"{path.stem}.jpg").relative_to(folder).as_posix()
            yield from read_each(partial(official, image=image), read_text(path).splitlines(), path, "line")

    def row(self, row: Mapping[str, Any], index: int) -> Question:
        category, image = str(row.get("category", "")), str(field(row, "question_id", self.title))
        image = image.removeprefix(f"{category}/")
        return _official(category, image, wording(row["question"]), row["answer"], index)


def _official(category: str, image: str, text: str, answer: Any, ordinal: int) -> Question:
    """Return a question without "Please answer yes or no.", as LLaVA-1.5 words it; the suffix replaces it."""
    text = " ".join(text.replace(_YES_OR_NO, "").split())
    place = f"{category}/{image}" if category else image
    truth = (yes_or_no(answer),)
    return Question(f"{place}-{ordinal}", place, text, truth, category=category, group=place)


def _accuracies(images: Iterable[list[float]]) -> tuple[float, float]:
    """Return the share of right questions, and that of images with all their questions right."""
    pairs = list(images)
    return float(np.mean([s for pair in pairs for s in pair])), float(np.mean([min(pair) for pair in pairs]))


def _existence(scene: Scene, rng: np.random.Generator) -> Pair | None:
    there = scene.things[rng.integers(len(scene.things))]
    kind = there.kind
    others = [c for c in COLORS if scene.count(kind=kind, color=c) == 0]
    if not others:
        return None
    other = others[rng.integers(len(others))]
    return f"Is there a {there.color} {kind} in this image?", f"Is there a {other} {kind} in this image?"


def _count(scene: Scene, rng: np.random.Generator) -> Pair | None:
    counts = [(plural(k), scene.count(kind=k)) for k in KINDS]
    counts += [(f"{c} objects", scene.count(color=c)) for c in COLORS]
    pool = [(name, n) for name, n in counts if 1 <= n <= 4]
    several = [pair for pair in pool if pair[1] > 1] or pool
    name, n = several[rng.integers(len(several))]
    near = [m for m in (n - 1, n + 1) if 1 <= m <= 4]
    wrong = near[rng.integers(len(near))]
    return f"Are there {n} {name} in this image?", f"Are there {wrong} {name} in this image?"


def _position(scene: Scene, rng: np.random.Generator) -> Pair | None:
    things = by_kind(scene)
    pool = [(a, b, "left of") for a, s in things for b, t in things if s.column < t.column]
    pool += [(a, b, "above") for a, s in things for b, t in things if s.row < t.row]
    if not pool:
        return None
    first, second, relation = pool[rng.integers(len(pool))]
    return f"Is the {first} {relation} the {second}?", f"Is the {second} {relation} the {first}?"


def _color(scene: Scene, rng: np.random.Generator) -> Pair | None:
    things = by_kind(scene)
    if not things:
        return None
    name, thing = things[rng.integers(len(things))]
    others = [c for c in COLORS if c != thing.color]
    return f"Is the {name} {thing.color}?", f"Is the {name} {others[rng.integers(len(others))]}?"


def _ocr(scene: Scene, rng: np.random.Generator) -> Pair | None:
    signs = unique(scene.having(kind="sign"), lambda t: f"Is the word on the {t.color} sign")
    if not signs:
        return None
    start, thing = signs[rng.integers(len(signs))]
    others = [w for w in WORDS if w != thing.text]
    return f"{start} {thing.text}?", f"{start} {others[rng.integers(len(others))]}?"


_MAKERS: dict[str, Callable[[Scene, np.random.Generator], Pair | None]] = {
    "existence": _existence,
    "count": _count,
    "position": _position,
    "color": _color,
    "OCR": _ocr,
}
