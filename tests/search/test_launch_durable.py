"""Launches that meet another one, or an impatient user: real processes on one store."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from storage import StorageError
from tests.search.search_helpers import ScriptedPool, launch, launch_here, measured, stored, wait_for


def command(tiny: Path, budget: int = 400) -> list[str | Path]:
    return ["--model", tiny, "--benchmark", "pope", "--questions", "20", "--workers", "1", "--budget", str(budget)]


def count(folder: Path) -> int:
    """Trials in the folder's store, which may not be there yet."""
    try:
        return len(stored(folder))
    except (StorageError, IndexError):
        return 0


def test_a_second_launch_is_refused_and_ctrl_c_twice_ends_the_first_at_once(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = launch(tmp_path, *command(tiny))
    wait_for(lambda: count(tmp_path) >= 3, 300)

    assert launch_here(tmp_path, monkeypatch, *command(tiny)) == 2
    error = capsys.readouterr().err
    assert f"is searched by process {first.pid} on " in error
    assert len(error.splitlines()) == 1

    os.killpg(first.pid, signal.SIGINT)
    wait_for(lambda: first.stdout is not None and "once more to end at once" in first.stdout.readline())
    os.killpg(first.pid, signal.SIGINT)
    _, error = first.communicate(timeout=60)
    assert first.returncode == 130
    ended = "stopped; everything measured is stored; run the same command again to resume\n"
    assert error in (ended, "")  # what was running may be done before the second press
    before = stored(tmp_path)

    budget = len(before) + 3  # nothing is held any more, and nothing is torn
    assert launch_here(tmp_path, monkeypatch, *command(tiny, budget), pool=ScriptedPool(measured)) == 0
    trials = [replace(t, latency_ms=1.0) for t in stored(tmp_path)]
    assert trials[: len(before)] == [replace(t, latency_ms=1.0) for t in before]
    assert [t.number for t in trials] == list(range(budget))
