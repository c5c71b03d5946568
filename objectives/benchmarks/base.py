"""What a benchmark is: a prompt and a scorer, and where its questions come from. One subclass, one file, one
registry entry."""

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
    """One question about one image.

    `answers` holds what annotators said (one string, or ten for VQA); `choices` the options of a multiple
    choice, in order; `image` the key of the image ("" for a question without one) and `more_images` the keys
    of those that follow it; questions that belong together share `group`.
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
        return (self.image, *self.more_images) if self.image else self.more_images


class Benchmark(ABC):
    """A prompt and a metric; stateless, so one instance serves everybody.

    `max_new_tokens` bounds an answer; `graded` says that scores are no right-or-wrong and not bounded like
    it, so that intervals must come from the scores themselves.
    """

    name: str
    title: str
    suffix: str = SHORT_ANSWER
    max_new_tokens: int = 4
    graded: bool = False

    @abstractmethod
    def score(self, question: Question, answer: str) -> float:
        """Credit in [0, 1] for one answer (text without the prompt)."""

    def scores(self, questions: Sequence[Question], answers: Sequence[str]) -> list[float]:
        """All scores, in order; corpus statistics, where a metric has them, are those of `questions`."""
        return [self.score(q, a) for q, a in zip(questions, answers, strict=True)]

    def submitted(self, answer: str) -> str:
        """What is scored of a model's raw answer, where evaluations send it in another form."""
        return answer

    def prompt(self, question: Question) -> str:
        """The user turn's text, as LLaVA-1.5 words it for this benchmark; the image comes before it."""
        options = "".join(f"{chr(65 + i)}. {choice}\n" for i, choice in enumerate(question.choices))
        return f"{question.text}\n{options}{self.suffix}"

    def target(self, question: Question) -> str:
        """The answer a model is trained to give."""
        return question.answers[0]

    def metrics(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
        """The benchmark's official figures over a set of answers; always has `accuracy`, the mean score."""
        scores = self.scores(questions, answers)
        return {"accuracy": float(np.mean(scores)) if scores else float("nan")}


@dataclass(frozen=True)
class Hub:
    """A dataset on the Hugging Face hub: its id, its configuration ("" for the default) and its split."""

    id: str
    split: str
    config: str = ""


class PublishedBenchmark(Benchmark):
    """A benchmark of the literature, with three sources of the same kind of questions.

    `hub` is its usual dataset; `image_folders` are where its official images lie below a data root;
    `full_answer_tokens` bounds an answer in the sub-word tokens of a full-size model.
    """

    hub: Hub
    image_folders: tuple[str, ...] = ("images",)
    full_answer_tokens: int = 16

    @abstractmethod
    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        """Questions about a generated scene, those of one group side by side; may be empty."""

    @abstractmethod
    def official(self, path: Path) -> list[Question]:
        """The questions in the benchmark's official files: a folder, or its annotation file alone.

        A question's `image` is the image's name below one of `image_folders`.

        Raises:
            DataError: not there, or not in the official form.
        """

    @abstractmethod
    def row(self, row: Mapping[str, Any], index: int) -> Question:
        """The question in record `index` of the hub's dataset; `image` is left "" for the loader to fill."""

    def at_full_size(self) -> Self:
        """The same benchmark with room for answers in sub-word tokens."""
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
    """A question about `scene`; `ordinal` tells apart those of the same benchmark and scene."""
    answers = (answer,) if isinstance(answer, str) else answer
    return Question(f"{scene.key}-{ordinal}", scene.key, text, answers, choices, category, group)
