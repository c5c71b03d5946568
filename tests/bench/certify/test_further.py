"""Further questions for presets: none is asked twice, a stopped run goes on, and what breaks its margin is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.certify import further
from objectives.benchmarks import Question
from tests.bench.docs.test_results import presets


def test_a_stopped_run_goes_on_and_a_preset_that_loses_more_than_its_margin_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def answers(
        _: str, __: str, configs: Sequence[Any], parts: Sequence[Sequence[Question]], *___: Any
    ) -> Iterator[Any]:
        for part in parts:
            asked.extend(question.image for question in part)
            scores = np.ones((len(configs), len(part)))
            scores[1, ::20] = 0  # the preset loses 5 points
            yield SimpleNamespace(scores=scores)

    monkeypatch.setattr(further, "panel_answers", answers)
    monkeypatch.setattr(further, "resolve", lambda *_: SimpleNamespace(digest="0" * 64, weights="tiny"))
    command = ["--presets", str(presets(tmp_path)), "--out", str(tmp_path / "further.npz")]
    assert further.main([*command, "--questions", "500"]) == 0
    assert len(asked) == 500
    assert further.main([*command, "--questions", "640"]) == 0
    assert further.main([*command, "--questions", "700"]) == 0
    assert len(asked) == len(set(asked)) == 700
    out = capsys.readouterr().out
    assert "| pope | 2 | 21 | +5.00 [+3." in out
    assert "0 of 1 certified presets hold, with n = 700 further questions a benchmark" in out


def test_other_weights_and_scores_of_other_settings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "further.npz"
    command = ["--presets", str(presets(tmp_path)), "--out", str(out)]
    monkeypatch.setattr(further, "resolve", lambda *_: SimpleNamespace(digest="f" * 64, weights="tiny"))
    assert further.main(command) == 2
    assert "got weights ffffffffffff; expected 000000000000, the preset's" in capsys.readouterr().err
    np.savez(out, settings="others")
    assert further.main(command) == 2
    assert "of other settings; expected those of the presets" in capsys.readouterr().err


def test_a_folder_without_presets_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert further.main(["--presets", str(tmp_path), "--out", str(tmp_path / "further.npz")]) == 2
    assert "run python -m search.launch first" in capsys.readouterr().err
