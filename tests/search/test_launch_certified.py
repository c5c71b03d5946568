"""One command explores, refines and certifies; killed in between it goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import himap
from search.launch import main
from storage import Ledger, StoreMissingError, open_store
from tests.search.search_helpers import start, wait_for


def answers(folder: Path) -> int:
    """How many answers the ledger of the folder's store holds."""
    try:
        opened = open_store(f"sqlite:///{folder / 'himap.db'}", readonly=True)
    except StoreMissingError:
        return 0
    with opened as store:
        ledgers = [Ledger(store, study.id) for study in store.studies()]
        pieces = [ledger.answers(split) for ledger in ledgers for split in ("validation", "test")]
        return sum(len(scores) for some in pieces for part in some.values() for _, scores in part)


def test_killed_while_it_certifies_it_goes_on(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(tiny), "--benchmark", "pope", "--budget", "14"]
    arguments += [
        "--questions",
        "20",
        "--workers",
        "1",
        "--sampler",
        "random",
        "--margins",
        "20",
        "40",
        "--pool",
        "300",
    ]
    first = start(tmp_path, "-m", "search.launch", *arguments)
    wait_for(lambda: answers(tmp_path))
    os.killpg(first.pid, signal.SIGKILL)
    kept = answers(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "certify    pope: 300 test questions, at best within " in out, err
    rows = [line for line in out.splitlines() if line.startswith("pope  within ")]
    assert [row.split(":")[0] for row in rows] == ["pope  within 20 points", "pope  within 40 points"]
    assert kept and answers(tmp_path) > kept
    for margin, row in zip((20, 40), rows, strict=True):
        preset = himap.read_preset(tmp_path / "presets" / f"tiny-pope-within-{margin}.yaml")
        assert preset.certificate.certified != preset.config.is_dense
        assert preset.certificate.certified == (", certified on " in row)
        assert all(timing.repeats >= 6 for timing in preset.measured[0].speed) or preset.config.is_dense
