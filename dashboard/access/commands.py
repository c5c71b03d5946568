"""Questions and surviving tokens, as commands in processes of their own give them.

They need libraries that the dashboard does not load; a crash of a command becomes one line of text.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from storage.records import QuestionSource, StudyKey, Trial

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 180


class CommandError(Exception):
    """A command gave no result; the message is one line."""


@dataclass(frozen=True)
class StudyQuestion:
    """One question of a study with its right answers, and its images as PNGs."""

    number: int
    text: str
    choices: tuple[str, ...]
    answers: tuple[str, ...]
    pngs: tuple[bytes, ...]


@dataclass(frozen=True)
class ImageTokens:
    """One image and the tokens that are left of it after each cut; tokens count from 0, row by row."""

    image: Image.Image
    grid: tuple[int, int]
    after_k1: frozenset[int]
    after_k2: frozenset[int]


@dataclass(frozen=True)
class Survivors:
    """The tokens of a question's images that are left after each cut, and the model's answers."""

    question: StudyQuestion
    images: tuple[ImageTokens, ...]
    answer: str
    dense_answer: str


def questions(key: StudyKey, source: QuestionSource | None, numbers: Sequence[int]) -> list[StudyQuestion]:
    """Return some questions of a study.

    Args:
        source: where the questions come from; None where they are embedded.

    Raises:
        CommandError: the command fails, or the questions are others than those of the study.
    """
    if not numbers:
        return []
    options = ["--numbers", *map(str, numbers)]
    return [_question(values) for values in run_json("objectives.questions", [*_study_options(key, source), *options])]


def survivors(key: StudyKey, source: QuestionSource | None, trial: Trial, number: int, weights: str = "") -> Survivors:
    """Run the model on question `number` under a trial's configuration. Arguments and errors as `questions`.

    Args:
        weights: of the model, as `StudySummary` has them.
    """
    options = ["--model", key.model, "--weights", weights or "auto", "--dtype", key.dtype]
    options += ["--digest", key.weights_digest]
    options += _study_options(key, source)
    options += ["--question", str(number), "--config", json.dumps(trial.config.as_dict())]
    result = run_json("search.tokens", options)
    question = _question(result)
    return Survivors(question, tuple(_images(question, result)), result["answer"], result["dense_answer"])


def _study_options(key: StudyKey, source: QuestionSource | None) -> list[str]:
    """Return the options by which a command asks the questions of a study, and refuses others."""
    origin = ["--benchmark", key.benchmark] if source is None else source.arguments
    if source is not None and source.skipped:
        origin += ["--leave-out", *(str(row) for row, _ in source.skipped)]
    return [*origin, "--split", key.split, "--questions", str(key.n_questions), "--key", key.questions]


def _question(values: dict[str, Any]) -> StudyQuestion:
    pngs = tuple(base64.b64decode(image) for image in values["images"])
    return StudyQuestion(values["number"], values["text"], tuple(values["choices"]), tuple(values["answers"]), pngs)


def _images(question: StudyQuestion, result: dict[str, Any]) -> Iterator[ImageTokens]:
    """Split tokens that are numbered through all images by image."""
    start = 0
    for png, grid in zip(question.pngs, result["grids"], strict=True):
        own = range(start, start + grid["tokens"])
        left = [frozenset(t - start for t in result[name] if t in own) for name in ("after_k1", "after_k2")]
        yield ImageTokens(Image.open(io.BytesIO(png)), (grid["rows"], grid["columns"]), *left)
        start = own.stop


def run_json(module: str, arguments: Sequence[str]) -> Any:
    """Return the JSON that a command prints. It runs in the dashboard's folder, which relative paths refer to.

    Raises:
        CommandError: the command fails, or gives no answer within `SECONDS`.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command, env = [sys.executable, "-m", module, *arguments], {**os.environ, "PYTHONPATH": path}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise CommandError(f"the command python -m {module} gave no answer within {SECONDS} s; try again") from None
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        message = lines[-1].removeprefix("error: ") if lines else f"exit code {done.returncode}"
        hint = "; install torch to run the model" if "No module named 'torch'" in message else ""
        raise CommandError(f"the command python -m {module} failed: {message}{hint}")
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise CommandError(f"the command python -m {module} printed no JSON; run it in a terminal to see why") from None
