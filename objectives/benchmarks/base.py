"""What a benchmark is: questions, a prompt, and a scorer. One subclass, one file, one registry entry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from objectives.scenes import Scene

SHORT_ANSWER = "Answer the question using a single word or phrase."
OPTION_LETTER = "Answer with the option's letter from the given choices directly."


@dataclass(frozen=True)
class Question:
    """One question about one image.

    `answers` holds what annotators said (one string, or ten for VQA); `choices` the options of a multiple
    choice, in order; `image` the key of the image; questions that belong together share `group`.
    """

    id: str
    image: str
    text: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()
    category: str = ""
    group: str = ""


class Benchmark(ABC):
    """A benchmark's questions, prompt and official metric; stateless, so one instance serves everybody."""

    name: ClassVar[str]
    title: ClassVar[str]
    suffix: ClassVar[str] = SHORT_ANSWER
    max_new_tokens: ClassVar[int] = 4

    @abstractmethod
    def ask(self, scene: Scene, rng: np.random.Generator) -> list[Question]:
        """Questions about a generated scene, those of one group side by side; may be empty."""

    @abstractmethod
    def score(self, question: Question, answer: str) -> float:
        """Credit in [0, 1] for one generated answer (raw text, without the prompt)."""

    def prompt(self, question: Question) -> str:
        """The user turn's text, as LLaVA-1.5 words it for this benchmark; the image comes before it."""
        options = "".join(f"{chr(65 + i)}. {choice}\n" for i, choice in enumerate(question.choices))
        return f"{question.text}\n{options}{self.suffix}"

    def target(self, question: Question) -> str:
        """The answer a model is trained to give."""
        return question.answers[0]

    def metrics(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
        """The benchmark's official figures over a set of answers; always has `accuracy`."""
        scores = [self.score(q, a) for q, a in zip(questions, answers, strict=True)]
        return {"accuracy": float(np.mean(scores)) if scores else float("nan")}


def question(
    scene: Scene, ordinal: int, text: str, answer: str | tuple[str, ...], **more: object
) -> Question:
    """A question about `scene`; `ordinal` tells apart those of the same benchmark and scene."""
    answers = (answer,) if isinstance(answer, str) else answer
    return Question(f"{scene.key}-{ordinal}", scene.key, text, answers, **more)  # type: ignore[arg-type]
