"""Captions: nocaps and Flickr30k. Describe the image in one sentence; CIDEr-D against several references.

Sources: Agrawal et al., nocaps (ICCV 2019); Young et al., From image descriptions to visual denotations (TACL
2014), in Karpathy's test split; CIDEr-D as in the COCO caption code. An embedded caption lists the scene's things.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from objectives.benchmarks.base import Hub, PublishedBenchmark, Question, question
from objectives.benchmarks.labels import read_each, texts
from objectives.benchmarks.rules.cider import CiderD
from objectives.benchmarks.rules.ptb import tokenize
from objectives.errors import DataError
from objectives.json_files import field, find, read_json
from objectives.scenes import Scene

PROMPT = "Provide a one-sentence caption for the provided image."
HIGHEST = 10.0  # what CIDEr-D gives a caption that equals all its references


def description(scene: Scene) -> str:
    """Return all things in raster order: "small red star, yellow sign bus, ..."."""
    named = [(t.size if t.kind != "sign" else "", t.color, t.kind, t.text) for t in scene.things]
    return ", ".join(" ".join(filter(None, words)) for words in named)


@lru_cache(maxsize=8)
def _scorer(references: tuple[tuple[str, ...], ...]) -> CiderD:
    """Return a scorer, cached because the references of a question set stay the same for all configurations."""
    tokens = iter(tokenize([text for texts in references for text in texts]))
    return CiderD([[next(tokens) for _ in texts] for texts in references])


def cider(questions: Sequence[Question], answers: Sequence[str]) -> list[float]:
    """Return CIDEr-D of every answer, 0 to 10, with document frequencies from the references of `questions`."""
    return _scorer(tuple(q.answers for q in questions)).scores(tokenize(answers))


class Captions(PublishedBenchmark):
    """A caption benchmark. Scores are CIDEr-D / 10, in [0, 1]; `metrics` has the figure of the literature too."""

    suffix = PROMPT
    max_new_tokens = 64
    full_answer_tokens = 64
    graded = corpus = True

    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        return [question(scene, 0, "", description(scene))]

    def prompt(self, question: Question) -> str:
        return self.suffix

    def score(self, question: Question, answer: str) -> float:
        """Return 0: n-grams of a single question are all equally rare. See `scores`."""
        return self.scores([question], [answer])[0]

    def scores(self, questions: Sequence[Question], answers: Sequence[str]) -> list[float]:
        return [value / HIGHEST for value in cider(questions, answers)]

    def metrics(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
        """Add `cider` as the literature prints it, times 100 (nocaps 78.8)."""
        figures = super().metrics(questions, answers)
        return figures | {"cider": 100 * HIGHEST * figures["accuracy"]}


class Nocaps(Captions):
    """The nocaps benchmark. Official files: the captions of its validation set in COCO's form, and its images."""

    name = "nocaps"
    title = "nocaps"
    hub = Hub("lmms-lab/NoCaps", "validation")
    image_folders = ("val", "images", "nocaps")

    def official(self, path: Path) -> list[Question]:
        return coco_captions(find(path, ["nocaps_val_4500_captions.json"], "nocaps captions"))

    def row(self, row: Mapping[str, Any], index: int) -> Question:
        captions = texts(field(row, "annotations_captions", self.title))
        return Question(str(row["image_id"]), "", "", captions, category=str(row.get("image_domain", "")))


class Flickr30k(Captions):
    """Flickr30k. Official files: Karpathy's dataset_flickr30k.json (its test split of 1,000), and the images."""

    name = "flickr30k"
    title = "Flickr30k"
    hub = Hub("lmms-lab/flickr30k", "test")
    image_folders = ("flickr30k-images", "flickr30k_images", "images")

    def official(self, path: Path) -> list[Question]:
        file = find(path, ["dataset_flickr30k.json"], "Flickr30k captions")
        value = read_json(file)
        if isinstance(value, dict) and "annotations" in value:
            return coco_captions(file)
        rows = [row for row in field(value, "images", file) if row.get("split", "test") == "test"]
        return read_each(_flickr, rows, file)

    def row(self, row: Mapping[str, Any], index: int) -> Question:
        number = str(row.get("img_id", index))
        return Question(number, "", "", texts(field(row, "caption", self.title)))


def _flickr(row: Mapping[str, Any], index: int) -> Question:
    return Question(Path(row["filename"]).stem, row["filename"], "", texts([one["raw"] for one in row["sentences"]]))


def coco_captions(path: Path) -> list[Question]:
    """Read images and their captions from a file in COCO's form."""
    value = read_json(path)
    captions: dict[Any, list[str]] = {}
    for note in field(value, "annotations", path):
        captions.setdefault(field(note, "image_id", path), []).append(field(note, "caption", path))
    images = value.get("images") or [{"id": number} for number in captions]
    questions = read_each(
        lambda image, _: Question(
            str(image["id"]),
            image.get("file_name", f"{image['id']}.jpg"),
            "",
            texts(captions[image["id"]]),
            category=image.get("domain", ""),
        ),
        (image for image in images if image["id"] in captions),
        path,
        "image",
    )
    if not questions:
        raise DataError(f"{path} has captions, but none of an image that it lists")
    return questions
