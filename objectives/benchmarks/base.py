"""The contract of a benchmark: a prompt and a scorer, and for published ones the sources of their questions."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from objectives.scenes import Scene

SHORT_ANSWER = "Answer the question using a single word or phrase."
OPTION_LETTER = "Answer with the option's letter from the given choices directly."


@dataclass(frozen=True)
class Question:
    """One question about an image, or several.

    `image` is the key of the first image ("" without one), `more_images` are those of the others. `answers` are those
    of the annotators (one, or ten for VQA), `choices` the options of a multiple choice. Subsets are balanced by
    `category`; questions that belong together share `group`.
    """

    id: str
    image: str
    text: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()
    category: str = ""
    group: str = ""
    more_images: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """The keys of all images."""
        return (self.image, *self.more_images) if self.image else self.more_images


class Benchmark(ABC):
    """A prompt and a metric. Stateless, so that one instance serves everybody.

    `suffix` ends every prompt, `max_new_tokens` bounds an answer. `graded` metrics (CIDEr, ANLS) have a variance that
    right-or-wrong scores do not bound, so that intervals must come from the scores themselves. With `corpus` a score
    depends on the other questions, too (CIDEr), so that it has no bound of its own.
    """

    name: str
    title: str
    suffix: str = SHORT_ANSWER
    max_new_tokens: int = 4
    graded: bool = False
    corpus: bool = False

    @abstractmethod
    def score(self, question: Question, answer: str) -> float:
        """Return the credit in [0, 1] for one answer, the text behind the prompt."""

    def scores(self, questions: Sequence[Question], answers: Sequence[str]) -> list[float]:
        """Return all scores in order; a metric with corpus statistics takes them from `questions`."""
        return [self.score(q, a) for q, a in zip(questions, answers, strict=True)]

    def submitted(self, answer: str) -> str:
        """Return the form of a model's raw answer that evaluations submit for scoring."""
        return answer

    def prompt(self, question: Question) -> str:
        """Return the text of the user turn behind the image, worded as LLaVA-1.5 does for this benchmark."""
        options = "".join(f"{chr(65 + i)}. {choice}\n" for i, choice in enumerate(question.choices))
        return f"{question.text}\n{options}{self.suffix}"

    def target(self, question: Question) -> str:
        """Return the answer that a model is trained to give."""
        return question.answers[0]

    def metrics(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
        """Return the benchmark's official figures by name; `accuracy`, the mean score, is always among them."""
        scores = self.scores(questions, answers)
        return {"accuracy": float(np.mean(scores)) if scores else float("nan")}


@dataclass(frozen=True)
class Hub:
    """A dataset on the Hugging Face hub: its id, its configuration ("" for the default) and its split."""

    id: str
    split: str
    config: str = ""


class PublishedBenchmark(Benchmark):
    """A benchmark of the literature, with three sources of questions: embedded scenes, official files, the hub.

    Official images are in one of `image_folders` below a data root. `full_answer_tokens` bounds an answer in the
    sub-word tokens of a full-size model.
    """

    hub: Hub
    image_folders: tuple[str, ...] = ("images",)
    full_answer_tokens: int = 16

    @abstractmethod
    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        """Return questions about a generated scene, if any, those of one group side by side."""

    @abstractmethod
    def official(self, path: Path) -> list[Question]:
        """Read the questions in the benchmark's official files: a folder, or its annotation file alone.

        A question's `image` is the image's name below one of `image_folders`.

        Raises:
            DataError: no such files, or not in the official form.
        """

    @abstractmethod
    def row(self, row: Mapping[str, Any], index: int) -> Question:
        """Return the question in record `index` of the hub's dataset; the loader fills an empty `image`."""

    def at_full_size(self) -> Self:
        """Return the same benchmark with room for answers in sub-word tokens."""
        same = copy.copy(self)
        same.max_new_tokens = self.full_answer_tokens
        return same


def question(
    scene: Scene,
    ordinal: int,
    text: str,
    answer: str | tuple[str, ...],
    *,
    choices: tuple[str, ...] = (),
    category: str = "",
    group: str = "",
) -> Question:
    """Return a question about `scene`; `ordinal` counts those of the same benchmark and scene."""
    answers = (answer,) if isinstance(answer, str) else answer
    return Question(f"{scene.key}-{ordinal}", scene.key, text, answers, choices, category, group)
