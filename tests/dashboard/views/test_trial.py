"""What the trial page works out: depth, paired differences, pictures, and the answers of other processes."""

from __future__ import annotations

import base64
import io
import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dashboard.analysis.depth import Depth, decoder_depth
from PIL import Image

from dashboard.access import commands
from dashboard.analysis.paired import compare
from dashboard.analysis.study_view import build_view
from dashboard.figures.trial import survivors, tokens_figure
from objectives.data.source import Source, load_questions
from storage import QuestionSource
from tests.dashboard.generated_store import LAYERS, confirmation, searched, stopped, study_key


def test_the_depth_follows_from_the_paper_flops() -> None:
    trials = [t for t in searched(30) if t.complete]
    assert decoder_depth(trials) == Depth(LAYERS, True)
    assert not decoder_depth(trials[:2]).known
    assert decoder_depth([]) == Depth(2, False)
    odd = [replace(t, paper_flops=t.paper_flops * (1 + 0.1 * (t.number % 3))) for t in trials]
    assert decoder_depth(odd) == Depth(max(t.config.k2 for t in trials) + 1, False)
    told = replace(confirmation(trials[2], trials[0]), layers=28)
    assert decoder_depth(trials, [told]) == Depth(28, True)


def test_a_paired_comparison_counts_what_was_lost_and_won() -> None:
    found = compare([1, 0, 0, 1, math.nan], [1, 1, 1, 0, 1])
    assert found is not None
    assert (found.asked, set(found.lost), found.won) == (4, {1, 2}, (3,))
    assert found.difference == -0.25
    assert found.low <= found.difference <= found.high
    assert found.p == pytest.approx(1.0)
    assert compare([math.nan], [1.0]) is None
    assert compare([], []) is None


def test_graded_scores_have_no_mcnemar_and_the_largest_losses_come_first() -> None:
    found = compare([0.9, 0.0, 0.3], [1.0, 1.0, 0.0])
    assert found is not None
    assert (found.p, found.lost, found.won) == (None, (1, 0), (2,))


def test_the_bootstrap_covers_the_true_difference() -> None:
    draw, inside = np.random.default_rng(0), 0
    for _ in range(100):
        base = (draw.random(200) < 0.8).astype(float)
        other = np.where(draw.random(200) < 0.1, 1 - base, base)
        found = compare(other.tolist(), base.tolist())
        assert found is not None
        inside += found.low <= 0.1 * (0.2 - 0.8) <= found.high
    assert inside >= 88


def test_tokens_by_layer_fall_at_the_cuts() -> None:
    trial = searched(3)[2]
    bars = {trace.name: list(trace.y) for trace in tokens_figure(trial, Depth(LAYERS, True)).data}
    assert bars["Image tokens left"] == [144] * 2 + [72] * 6 + [18] * 4
    assert bars["Text tokens"] == [trial.text_tokens] * LAYERS


def test_dropped_tokens_are_washed_out_in_the_picture() -> None:
    picture = Image.new("RGB", (60, 60), (200, 0, 0))
    drawn = Image.open(io.BytesIO(survivors(picture, (2, 2), {0})))
    quarter = drawn.width // 4
    assert drawn.getpixel((quarter, quarter)) == (200, 0, 0)
    gone = drawn.getpixel((3 * quarter, quarter))
    assert isinstance(gone, tuple)
    assert min(gone) > 200
    whole = Image.open(io.BytesIO(survivors(picture, (2, 2), None)))
    assert whole.getpixel((3 * quarter, quarter)) == (200, 0, 0)


def test_a_stopped_trial_is_an_estimate_and_never_on_the_front() -> None:
    better = replace(stopped(50), accuracy=1.0)
    view = build_view(study_key(), [*searched(20), better], confirmations=[])
    assert view.stopped == (better,)
    assert better not in view.front
    assert view.trial(50) == better


def test_confirmations_belong_to_equal_configurations() -> None:
    trials = searched(20)
    told = replace(confirmation(trials[2], trials[0]), trial=None)
    view = build_view(study_key(), trials, confirmations=[told])
    assert view.confirmed == {2: told}
    elsewhere = replace(told, config=replace(told.config, r1=51.0))
    assert build_view(study_key(), trials, confirmations=[elsewhere]).confirmed == {}


def png() -> str:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def answering(monkeypatch: pytest.MonkeyPatch, code: int, out: str, error: str = "") -> list[list[str]]:
    asked: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, code, out, error)

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def test_questions_and_survivors_are_read_from_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    question = {"number": 3, "text": "Is it?", "choices": [], "answers": ["no"], "images": [png(), png()]}
    answering(monkeypatch, 0, json.dumps([question]))
    (shown,) = commands.questions(study_key(), None, [3])
    assert (shown.number, shown.answers, len(shown.pngs)) == (3, ("no",), 2)
    assert commands.questions(study_key(), None, []) == []
    told = {
        "grids": [{"rows": 2, "columns": 3, "tokens": 6}, {"rows": 1, "columns": 2, "tokens": 2}],
        "after_k1": [0, 5, 7],
        "after_k2": [5],
        "answer": "no",
        "dense_answer": "yes",
    }
    asked = answering(monkeypatch, 0, json.dumps({**question, **told}))
    first, second = commands.survivors(study_key(), None, searched(3)[2], 3).seen
    assert (first.grid, first.after_k1, first.after_k2, first.image.size) == ((2, 3), {0, 5}, {5}, (4, 4))
    assert (second.grid, second.after_k1, second.after_k2) == ((1, 2), {1}, set())
    assert json.loads(asked[0][-1])["k2"] == 8
    assert study_key().weights_digest in asked[0]


def test_questions_of_a_file_are_asked_for_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real command, in the folder where the dashboard was started; a changed file is refused."""
    for color in range(40):
        Image.new("RGB", (8, 6), (color, 0, 0)).save(tmp_path / f"{color}.png")
    rows = [{"id": i, "image": [f"{i}.png", f"{i}.png"], "question": f"What is {i}?", "answer": i} for i in range(40)]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)
    source = QuestionSource("mine.jsonl", "--data mine.jsonl --metric exact_match")
    found = load_questions(Source(data=file, metric="exact_match"), "validation", 5)
    key = replace(study_key(found.key), n_questions=5)
    (shown,) = commands.questions(key, source, [4])
    asked = found.questions[4]
    assert (shown.text, shown.answers, len(shown.pngs)) == (asked.text, asked.answers, 2)
    assert Image.open(io.BytesIO(shown.pngs[0])).getpixel((0, 0)) == (int(asked.id), 0, 0)
    file.write_text("\n".join(map(json.dumps, rows[:30])))
    with pytest.raises(commands.OutsideError, match=f"the study asked {key.benchmark}, but .*mine.jsonl holds"):
        commands.questions(key, source, [4])


@pytest.mark.parametrize(
    ("code", "out", "error", "said"),
    [
        (2, "", "unknown benchmark 'x'; expected one of y\n", "failed: unknown benchmark 'x'"),
        (1, "", "Traceback\nModuleNotFoundError: No module named 'torch'", "install torch to run the model"),
        (-9, "", "", "exit code -9"),
        (0, "not json", "", "printed no JSON"),
    ],
)
def test_what_goes_wrong_outside_is_one_line(
    monkeypatch: pytest.MonkeyPatch, code: int, out: str, error: str, said: str
) -> None:
    answering(monkeypatch, code, out, error)
    with pytest.raises(commands.OutsideError, match=said):
        commands.questions(study_key(), None, [1])
