"""Ray Tune for real: the same trials as the driver's, into the same store, also after a kill."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from himap import PruningConfig
from search import SearchConfig
from search.errors import UsageError
from search.integrations.ray_tune import Assignment, StudySearcher, TrialTrainable, WorkerReply, tuner
from storage import StoreMissingError, Trial
from tests.search.search_helpers import ScriptedPool, clockless, launch, launch_here, measured, start, stored, wait_for

RUN = """
import os
import sys
from pathlib import Path
import ray
from search import SearchConfig
from search.integrations.ray_tune import trainable, tuner
from ray import tune

os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1"
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
model, budget = sys.argv[1], int(sys.argv[2])
folder = Path("tune").resolve()
if tune.Tuner.can_restore(str(folder / "himap")):
    chosen = tune.Tuner.restore(str(folder / "himap"), trainable())
else:
    config = SearchConfig(model, budget, ["pope"], questions=20, sampler="tpe")
    chosen = tuner(config, folder=folder)
results = chosen.fit()
print("rows", len(results), "errors", results.num_errors)
"""


def tuned(folder: Path, model: Path, budget: int) -> subprocess.Popen[str]:
    """The Tuner in a process of its own, which notes its state every second."""
    return start(folder, "-c", RUN, model, str(budget))


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, out[-2000:] + err[-4000:]
    return out


def same(trials: list[Trial], others: list[Trial]) -> bool:
    """Whether they are the same but for what a clock says; only a launch measures latencies."""
    return clockless(trials) == [replace(trial, created_at=trials[0].created_at) for trial in clockless(others)]


def count(folder: Path) -> int:
    try:
        return len(stored(folder))
    except (StoreMissingError, IndexError):
        return 0


def test_the_same_trials_as_a_launch(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one worker and one seed: configurations, measurements, and which trials were pruned.

    So a search repeats itself, in another process and under another driver.
    """
    ours, theirs = tmp_path / "launch", tmp_path / "tune"
    ours.mkdir()
    theirs.mkdir()
    common = ("--model", tiny, "--benchmark", "pope", "--questions", "20")
    options = (*common, "--workers", "1", "--sampler", "tpe", "--budget", "26")
    side_by_side = launch(ours, *options), tuned(theirs, tiny, 26)
    _, out = map(ended, side_by_side)
    assert "rows 26 errors 0" in out
    assert same(stored(theirs), stored(ours))
    assert sum(trial.origin == "sampler" for trial in stored(ours)) >= 15
    # A launch resumes from there: it has nothing to do but the front's latencies.
    assert launch_here(theirs, monkeypatch, *options, pool=ScriptedPool(measured)) == 0
    assert "26 of 26 already stored" in capsys.readouterr().out
    assert same(stored(theirs), stored(ours))


def test_killed_and_restored_it_resumes_to_its_budget(tiny: Path, tmp_path: Path) -> None:
    process = tuned(tmp_path, tiny, 16)
    wait_for(lambda: count(tmp_path) >= 6, 300)
    process.kill()
    process.communicate(timeout=60)
    before = stored(tmp_path)
    assert len(before) < 16
    ended(tuned(tmp_path, tiny, 16))
    trials = stored(tmp_path)
    assert [trial.number for trial in trials] == list(range(16))
    assert trials[: len(before)] == before
    assert not [trial.reason for trial in trials if trial.failed]
    assert len({t.config for t in trials}) == 16


def test_a_failed_measurement_is_a_result_that_tune_takes() -> None:
    def corrupt(*_: object) -> None:
        raise ValueError("first line\nthe image is corrupt")

    worker: Any = SimpleNamespace(
        _assignment=Assignment(3, PruningConfig.dense(), ()), _runner=SimpleNamespace(measure=corrupt), _key="pope"
    )
    result = TrialTrainable.step(worker)
    assert (result["number"], result["done"]) == (3, True)
    assert result["reply"] == WorkerReply(None, "ValueError: the image is corrupt")
    searcher = StudySearcher(SearchConfig("qwenvl", 10, ["pope"]))
    assert searcher.metric is None  # Tune ends everything where a result lacks a searcher's metric


def test_what_tune_cannot_do_is_refused() -> None:
    with pytest.raises(UsageError, match="Ray Tune gives no idle device"):
        tuner(SearchConfig("qwenvl", 10, ["pope"], max_latency=5.0))
    with pytest.raises(UsageError, match="Ray Tune runs one study"):
        tuner(SearchConfig("qwenvl", 10))
