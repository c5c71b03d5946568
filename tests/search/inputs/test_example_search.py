"""A search of a copy of the example's questions, some of which cannot be used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import himap
from search.launch import main
from storage import open_store
from tests.search.search_helpers import ROOT

EXAMPLE = ROOT / "examples" / "questions.jsonl"


def test_a_real_run_on_the_example(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through Ray; on a copy with rows that cannot be used, which are reported and recorded."""
    shutil.copytree(EXAMPLE.parent, tmp_path / "copy")
    with (tmp_path / "copy" / "questions.jsonl").open("a") as file:
        file.write('{"id": "x"}\nnot JSON\n')
    options = ["--data", "copy/questions.jsonl", "--metric", "vqa", "--on-bad", "skip"]
    monkeypatch.chdir(tmp_path)
    command = ["--no-certify", "--model", str(tiny), *options, "--budget", "3", "--workers", "1", "--json", "o.json"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert not err
    with open_store(f"sqlite:///{tmp_path / 'himap.db'}", readonly=True) as store:
        (study,) = store.studies()
        source, trials = store.questions(study.id), store.trials(study.id)
    name = study.key.questions
    assert name.startswith("questions-vqa_accuracy@")
    own_options = " ".join(options)
    assert source is not None
    assert (source.origin, source.options) == ("copy/questions.jsonl", own_options)
    assert source.skipped[0] == (11, "lacks 'image'") and source.skipped[1][1].startswith("not JSON")
    assert [t.state for t in trials] == ["complete"] * 3
    assert {t.n for t in trials} == {study.key.n_questions} == {len(trials[0].scores)}
    assert f"questions  {name}: {trials[0].n} of copy/questions.jsonl, which has " in out
    assert "left out   2 row(s) that cannot be used: line 11: " in out
    assert f"certify them: python -m search.export --storage sqlite:///himap.db --model {tiny} {own_options}" in out
    preset = himap.read_preset(next((tmp_path / "presets").iterdir()))
    assert (preset.measured[0].key, preset.measured[0].questions) == (name, own_options)
    assert own_options in preset.certificate.verdict
    (study_json,) = json.loads((tmp_path / "o.json").read_text())["studies"]
    assert study_json["questions"] == {"options": own_options, "n": trials[0].n, "left_out": 2}
