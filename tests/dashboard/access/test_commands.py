"""Questions and surviving tokens, from the commands of other processes."""

from __future__ import annotations

import base64
import io
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dashboard.access import commands
from objectives.data.source import Source, load_questions
from storage import QuestionSource
from tests.dashboard.generated_store import searched, study_key


def png() -> str:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def answer_with(monkeypatch: pytest.MonkeyPatch, code: int, out: str, error: str = "") -> list[list[str]]:
    calls: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, code, out, error)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_questions_and_survivors_are_read_from_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    question = {"number": 3, "text": "Is it?", "choices": [], "answers": ["no"], "images": [png(), png()]}
    answer_with(monkeypatch, 0, json.dumps([question]))
    (shown,) = commands.questions(study_key(), None, [3])
    assert (shown.number, shown.answers, len(shown.pngs)) == (3, ("no",), 2)
    assert commands.questions(study_key(), None, []) == []
    result = {
        "grids": [{"rows": 2, "columns": 3, "tokens": 6}, {"rows": 1, "columns": 2, "tokens": 2}],
        "after_k1": [0, 5, 7],
        "after_k2": [5],
        "answer": "no",
        "dense_answer": "yes",
    }
    calls = answer_with(monkeypatch, 0, json.dumps({**question, **result}))
    first, second = commands.survivors(study_key(), None, searched(3)[2], 3).images
    assert (first.grid, first.after_k1, first.after_k2, first.image.size) == ((2, 3), {0, 5}, {5}, (4, 4))
    assert (second.grid, second.after_k1, second.after_k2) == ((1, 2), {1}, set())
    assert json.loads(calls[0][-1])["k2"] == 8
    assert study_key().weights_digest in calls[0]


def test_questions_of_a_file_are_read_by_the_real_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder where the dashboard was started; a changed file is refused."""
    for color in range(40):
        Image.new("RGB", (8, 6), (color, 0, 0)).save(tmp_path / f"{color}.png")
    rows = [{"id": i, "image": [f"{i}.png", f"{i}.png"], "question": f"What is {i}?", "answer": i} for i in range(40)]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)
    source = QuestionSource("mine.jsonl", data="mine.jsonl", metric="exact_match")
    loaded = load_questions(Source(data=file, metric="exact_match"), "validation", 5)
    benchmark, _, digest = loaded.key.partition("@")
    key = replace(study_key(benchmark, source=digest), n_questions=5)
    (shown,) = commands.questions(key, source, [4])
    question = loaded.questions[4]
    assert (shown.text, shown.answers, len(shown.pngs)) == (question.text, question.answers, 2)
    assert Image.open(io.BytesIO(shown.pngs[0])).getpixel((0, 0)) == (int(question.id), 0, 0)
    file.write_text("\n".join(map(json.dumps, rows[:30])))
    with pytest.raises(commands.CommandError, match=f"the study asked {key.questions}, but .*mine.jsonl holds"):
        commands.questions(key, source, [4])


@pytest.mark.parametrize(
    ("code", "out", "error", "message"),
    [
        (2, "", "unknown benchmark 'x'; expected one of y\n", "failed: unknown benchmark 'x'"),
        (1, "", "Traceback\nModuleNotFoundError: No module named 'torch'", "install torch to run the model"),
        (-9, "", "", "exit code -9"),
        (0, "not json", "", "printed no JSON"),
    ],
)
def test_a_failed_command_gives_one_line(
    monkeypatch: pytest.MonkeyPatch, code: int, out: str, error: str, message: str
) -> None:
    answer_with(monkeypatch, code, out, error)
    with pytest.raises(commands.CommandError, match=message):
        commands.questions(study_key(), None, [1])
