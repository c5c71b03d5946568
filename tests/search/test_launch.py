"""The main job as a user runs it: real processes, Ray, Optuna and SQLite, killed and interrupted for real."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import himap
from storage import Trial
from storage.pareto import front
from tests.search.search_helpers import ROOT, descendants, kill_evaluator, launch, launch_here, stored, wait_for

Start = Callable[..., "subprocess.Popen[str]"]


def command(tiny: Path, budget: int) -> list[str | Path]:
    return [
        "--model",
        tiny,
        "--benchmark",
        "pope",
        "--questions",
        "20",
        "--workers",
        "1",
        "--budget",
        str(budget),
        "--json",
        "out.json",
    ]


def output(process: subprocess.Popen[str], code: int = 0) -> str:
    """What it printed on stdout, once it has ended with this code and nothing on stderr."""
    out, err = process.communicate(timeout=400)
    assert (process.returncode, err) == (code, ""), out + err
    return out


def count(folder: Path) -> int:
    return len(stored(folder)) if (folder / "himap.db").exists() else 0


@pytest.fixture(scope="module")
def first_run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which six trials were run, and what that printed."""
    folder = tmp_path_factory.mktemp("first")
    return folder, output(launch(folder, *command(tiny, 6)))


@pytest.fixture
def folder(first_run: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of it, to resume from."""
    return Path(shutil.copytree(first_run[0], tmp_path / "copy"))


def test_a_run_says_what_it_will_do_and_what_it_found(tiny: Path, first_run: tuple[Path, str]) -> None:
    folder, message = first_run
    positions = [
        message.index(text)
        for text in (
            f"weights    full weights: {tiny}, digest ",
            "studies    1: pope; 20 validation questions each",
            "budget     6 trials a study, 0 of 6 already stored",
            "store      sqlite:///himap.db",
            "starting 1 worker(s)",
            "study tiny/pope trials 1/6 front 1 best at <= 50 % FLOPs",
            "tiny / pope (20 validation questions",
            "preset: presets/tiny-pope.yaml",
            f"dashboard: streamlit run {ROOT / 'dashboard' / 'app.py'} -- --storage sqlite:///himap.db",
        )
    ]
    assert positions == sorted(positions)
    assert "\x1b" not in message
    assert max(map(len, message.splitlines())) <= 160
    trials = stored(folder)
    assert [t.number for t in trials] == list(range(6))
    assert [t.origin for t in trials] == ["dense", "fastv", "paper", "paper_long", "random", "uniform"]


def test_every_row_holds_what_was_measured(first_run: tuple[Path, str]) -> None:
    trials = stored(first_run[0])
    dense = trials[0]
    assert (dense.flops_ratio, dense.tokens_after_k2) == (1.0, dense.image_tokens)
    for trial in trials:
        assert trial.complete
        assert trial.n == len(trial.scores) == 20
        assert trial.accuracy_low <= trial.accuracy <= trial.accuracy_high
        assert 0 < trial.latency_low_ms <= trial.latency_ms <= trial.latency_high_ms
        assert trial.flops == pytest.approx(trial.flops_ratio * dense.flops)
        assert trial.seconds > 0
        assert {"torch", "transformers", "ray", "optuna"} <= set(trial.versions)
        assert trial.device.endswith("1 thread(s)")
        assert "f1" in trial.metrics


def test_the_json_and_the_preset_say_what_the_rows_say(first_run: tuple[Path, str]) -> None:
    trials = stored(first_run[0])
    (study,) = json.loads((first_run[0] / "out.json").read_text())["studies"]
    assert (study["model"], study["benchmark"], study["trials"], study["failed"]) == ("tiny", "pope", 6, 0)
    assert [m["flops"] for m in study["front"]] == [t.flops for t in front(trials)]
    config = himap.load_preset(first_run[0] / "presets" / "tiny-pope.yaml")
    assert (config.k1, config.r1, config.k2, config.r2) in {
        (t.config.k1, t.config.r1, t.config.k2, t.config.r2) for t in front(trials)
    }


def test_the_same_command_again_does_nothing(
    tiny: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stored(folder)
    assert launch_here(folder, monkeypatch, *command(tiny, 6)) == 0
    message, error = capsys.readouterr()
    assert not error
    assert "nothing to do: every study has spent its budget" in message
    assert "starting" not in message
    assert stored(folder) == before


def test_with_its_worker_killed_interrupted_and_killed_it_resumes_to_exactly_the_budget(
    tiny: Path, folder: Path
) -> None:
    before, arguments = stored(folder), command(tiny, 24)
    process = launch(folder, *arguments)
    wait_for(lambda: count(folder) >= 8)
    kill_evaluator(process.pid)
    wait_for(lambda: count(folder) >= 11)  # two results may have been there already
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does: to the whole group
    message = output(process, 130)
    assert "stopping: finishing what is running" in message
    assert "stopped early; everything measured is stored; run the same command again to resume" in message
    interrupted = stored(folder)
    assert interrupted[:6] == before
    assert [t.number for t in interrupted] == list(range(len(interrupted)))
    assert 11 <= len(interrupted) < 20

    process = launch(folder, *arguments)
    wait_for(lambda: count(folder) >= len(interrupted) + 2)
    kept = ("ray::_Evaluator", "gcs_server", "raylet ")  # Ray's agents notice a dead driver after a minute
    below = [pid for pid, title in descendants(process.pid).items() if any(name in title for name in kept)]
    assert len(below) >= 3
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below), 120)
    killed = stored(folder)
    assert timeless(killed)[: len(interrupted)] == timeless(interrupted)
    assert len(killed) < 24

    output(launch(folder, *arguments))
    trials = stored(folder)
    assert [t.number for t in trials] == list(range(24))
    assert not any(t.failed for t in trials)
    assert {t.number: t for t in timeless(killed)}.items() <= {t.number: t for t in timeless(trials)}.items()
    configs = [
        (t.config.k1, t.config.r1, t.config.k2, t.config.r2, t.config.phi_shallow, t.config.phi_deep) for t in trials
    ]
    assert len(set(configs)) == 24


def timeless(trials: list[Trial]) -> list[Trial]:
    """The trials without their latencies, which are measured when the device is quiet, at the end."""
    zero = {"latency_ms": 0.0, "latency_low_ms": 0.0, "latency_high_ms": 0.0, "dense_latency_ms": 0.0}
    return [replace(t, **zero, timings=()) for t in trials]
