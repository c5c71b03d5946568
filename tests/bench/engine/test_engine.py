"""The overhead of a trial: what is measured with few trials, and that a missed goal is reported."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.engine import __main__ as engine
from bench.engine.growth import growth
from bench.engine.run import overhead, peer
from storage import open_store


def test_a_study_is_timed_at_each_size(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'himap.db'}"
    rows = growth(url, [0, 30, 60], 4, "ehvi")
    assert [row["trials"] for row in rows] == [0, 30, 60]
    assert all(value > 0 for row in rows for name, value in row.items() if name != "trials")
    with open_store(url, readonly=True) as store:
        trials = store.trials(store.studies()[0].id)
    assert [trial.number for trial in trials] == list(range(64))
    assert all(len(trial.scores) == 120 for trial in trials)


def test_empty_trials_go_through_real_workers_and_stay(tmp_path: Path) -> None:
    result = overhead(f"sqlite:///{tmp_path / 'himap.db'}", 60, "ehvi")
    with open_store(f"sqlite:///{tmp_path / 'himap.db'}", readonly=True) as store:
        trials = store.trials(store.studies()[0].id)
    assert [trial.number for trial in trials] == list(range(60))
    memory = {name: result.pop(name) for name in ("driver_mib", "workers_and_ray_mib")}
    assert [name for name, value in result.items() if not 0 < value < math.inf] == []
    assert [name for name, value in memory.items() if value <= 0] == []  # NaN: a system that does not report it
    assert peer(tmp_path, 4) > 0


@pytest.mark.parametrize(("cost", "code", "verdict"), [(14.0, 0, "met"), (16.0, 1, "missed")])
def test_the_goal_decides_the_exit_code(
    cost: float, code: int, verdict: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("ms_per_trial", "ms_median", "ms_first_half", "startup_s", "driver_mib", "workers_and_ray_mib")
    row = dict.fromkeys(names, cost)
    monkeypatch.setattr(engine, "overhead", lambda *_: row)
    monkeypatch.setattr(engine, "peer", lambda *_: 70.0)
    assert engine.main(["--most", "-1", "--no-postgresql"]) == code
    assert f"15 ms a trial: {verdict}" in capsys.readouterr().out
