"""What only a model or a benchmark can tell, asked of commands in processes of their own.

The dashboard itself loads no model library; these commands do, and a crash there is a line of text here.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from storage.records import StudyKey, Trial

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 180


class OutsideError(Exception):
    """A command did not answer; the message is one line."""


@dataclass(frozen=True)
class Shown:
    """One question of a study: what is asked, what is right, and its image as PNG."""

    number: int
    text: str
    choices: tuple[str, ...]
    answers: tuple[str, ...]
    png: bytes


@dataclass(frozen=True)
class Survivors:
    """Which of a question's image tokens are left after each cut, and what the model answered."""

    question: Shown
    grid: tuple[int, int]
    after_k1: frozenset[int]
    after_k2: frozenset[int]
    answer: str
    dense_answer: str

    @property
    def image(self) -> Image.Image:
        """The question's image."""
        return Image.open(io.BytesIO(self.question.png))


def questions(key: StudyKey, numbers: Sequence[int]) -> list[Shown]:
    """Some questions of a study. Raises OutsideError."""
    if not numbers:
        return []
    _check_embedded(key)
    options = ["--questions", str(key.n_questions), "--numbers", *map(str, numbers)]
    found = _ask("objectives.questions", ["--benchmark", key.benchmark, "--split", key.split, *options])
    return [_shown(one) for one in found]


def survivors(key: StudyKey, trial: Trial, number: int) -> Survivors:
    """What survives of question `number` under a trial's configuration. Raises OutsideError."""
    _check_embedded(key)
    names = ("k1", "r1", "k2", "r2", "phi_shallow", "phi_deep", "seed")
    found = _ask("search.tokens", [
        "--model", key.model, "--digest", key.weights_digest, "--benchmark", key.benchmark,
        "--split", key.split, "--questions", str(key.n_questions), "--question", str(number),
        "--config", json.dumps({name: getattr(trial, name) for name in names}),
    ])  # fmt: skip
    return Survivors(
        _shown(found), (found["rows"], found["columns"]), frozenset(found["after_k1"]),
        frozenset(found["after_k2"]), found["answer"], found["dense_answer"],
    )  # fmt: skip


def _check_embedded(key: StudyKey) -> None:
    if "@" in key.benchmark:
        raise OutsideError(
            f"only embedded questions can be shown here; {key.benchmark} names questions of a file, "
            "of which the store has the scores"
        )


def _shown(told: dict[str, Any]) -> Shown:
    png = base64.b64decode(told["image"])
    return Shown(told["number"], told["text"], tuple(told["choices"]), tuple(told["answers"]), png)


def _ask(module: str, arguments: list[str]) -> Any:
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise OutsideError(f"python -m {module} gave no answer within {SECONDS} s; try again") from None
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        said = lines[-1] if lines else f"exit code {done.returncode}"
        hint = "; install torch to run the model" if "No module named 'torch'" in said else ""
        raise OutsideError(f"python -m {module} failed: {said}{hint}")
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise OutsideError(f"python -m {module} printed no JSON; run it in a terminal to see why") from None
