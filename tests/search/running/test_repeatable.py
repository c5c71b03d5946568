"""The same seed and one worker give the same trials, more workers the same measurements: real launches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from himap import PruningConfig
from objectives.evaluation.cores import available_cores
from storage import Trial
from tests.search.search_helpers import launch, stored

CLOCK = ("seconds", "latency_ms", "latency_low_ms", "latency_high_ms", "dense_latency_ms")


def clockless(trials: list[Trial]) -> list[Trial]:
    """The trials without what a clock says, and the commit of the moment, which may change during a test."""
    same: dict[str, Any] = dict.fromkeys(CLOCK, 1.0) | {"commit": "", "timings": ()}
    return [replace(trial, created_at=trials[0].created_at, **same) for trial in trials]


def searched(folder: Path, model: Path, *options: str) -> list[Trial]:
    """The trials of a launch in a new folder, without what a clock says."""
    folder.mkdir()
    process = launch(folder, "--model", model, "--benchmark", "pope", "--questions", "20", *options)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, out + err
    return clockless(stored(folder))


def test_the_same_seed_and_one_worker_give_the_same_trials(tiny: Path, tmp_path: Path) -> None:
    """Enough trials for the sampler to have learned from others, with the race."""
    options = ("--workers", "1", "--sampler", "tpe", "--budget", "30")
    first = searched(tmp_path / "first", tiny, *options)
    again = searched(tmp_path / "again", tiny, *options)
    moment = first[0].created_at
    assert [replace(trial, created_at=moment) for trial in again] == first


@pytest.mark.skipif(available_cores() < 2, reason="a second worker needs a second core")
def test_more_workers_give_the_same_measurements(tiny: Path, tmp_path: Path) -> None:
    def by_configuration(trials: list[Trial]) -> dict[PruningConfig, Trial]:
        moment = trials[0].created_at
        return {trial.config: replace(trial, number=0, created_at=moment) for trial in trials}

    options = ("--sampler", "random", "--budget", "16", "--no-race")
    one = by_configuration(searched(tmp_path / "one", tiny, *options, "--workers", "1"))
    two = by_configuration(searched(tmp_path / "two", tiny, *options, "--workers", "2"))
    common = set(one) & set(two)
    assert len(common) >= 14  # which one comes last depends on the clock
    moment = one[PruningConfig.dense()].created_at
    for config in common:
        assert replace(two[config], created_at=moment) == one[config]
