"""What only a model or a benchmark can tell, asked of commands in processes of their own.

The dashboard itself loads no model library; these commands do, and a crash there is a line of text here.
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


class OutsideError(Exception):
    """A command did not answer; the message is one line."""


@dataclass(frozen=True)
class Shown:
    """One question of a study: what is asked, what is right, and its images as PNGs."""

    number: int
    text: str
    choices: tuple[str, ...]
    answers: tuple[str, ...]
    pngs: tuple[bytes, ...]


@dataclass(frozen=True)
class Seen:
    """One image with its tokens, numbered from 0, row by row: which are left after each cut."""

    image: Image.Image
    grid: tuple[int, int]
    after_k1: frozenset[int]
    after_k2: frozenset[int]


@dataclass(frozen=True)
class Survivors:
    """Which of a question's image tokens are left after each cut, by image, and what the model answered."""

    question: Shown
    seen: tuple[Seen, ...]
    answer: str
    dense_answer: str


def questions(key: StudyKey, source: QuestionSource | None, numbers: Sequence[int]) -> list[Shown]:
    """Some questions of a study; `source` says where they are, unless embedded. Raises OutsideError."""
    if not numbers:
        return []
    options = ["--numbers", *map(str, numbers)]
    return [_shown(one) for one in _ask("objectives.questions", [*_named(key, source), *options])]


def survivors(key: StudyKey, source: QuestionSource | None, trial: Trial, number: int) -> Survivors:
    """What survives of question `number` under a trial's configuration. Raises OutsideError."""
    found = _ask(
        "search.tokens",
        [
            "--model",
            key.model,
            "--digest",
            key.weights_digest,
            *_named(key, source),
            "--question",
            str(number),
            "--config",
            json.dumps(trial.config.as_dict()),
        ],
    )
    question = _shown(found)
    return Survivors(question, tuple(_seen(question, found)), found["answer"], found["dense_answer"])


def _named(key: StudyKey, source: QuestionSource | None) -> list[str]:
    """What a command takes to find the questions of a study, and to refuse others."""
    where = ["--benchmark", key.benchmark] if source is None else source.arguments
    asked = ["--split", key.split, "--questions", str(key.n_questions), "--key", key.questions]
    return [*where, *asked]


def _shown(told: dict[str, Any]) -> Shown:
    pngs = tuple(base64.b64decode(image) for image in told["images"])
    return Shown(told["number"], told["text"], tuple(told["choices"]), tuple(told["answers"]), pngs)


def _seen(question: Shown, found: dict[str, Any]) -> Iterator[Seen]:
    """Tokens are numbered through all images; here each image has its own."""
    start = 0
    for png, grid in zip(question.pngs, found["grids"], strict=True):
        own = range(start, start + grid["tokens"])
        left = [frozenset(t - start for t in found[name] if t in own) for name in ("after_k1", "after_k2")]
        yield Seen(Image.open(io.BytesIO(png)), (grid["rows"], grid["columns"]), *left)
        start = own.stop


def _ask(module: str, arguments: list[str]) -> Any:
    """What a command says, started where the dashboard was, so that relative paths mean what they meant."""
    command = [sys.executable, "-m", module, *arguments]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise OutsideError(f"python -m {module} gave no answer within {SECONDS} s; try again") from None
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        said = lines[-1].removeprefix("error: ") if lines else f"exit code {done.returncode}"
        hint = "; install torch to run the model" if "No module named 'torch'" in said else ""
        raise OutsideError(f"python -m {module} failed: {said}{hint}")
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise OutsideError(f"python -m {module} printed no JSON; run it in a terminal to see why") from None
