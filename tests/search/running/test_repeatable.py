"""More workers measure what this process measures: a real launch. That trials repeat is in test_ray_tune."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from objectives.evaluation.cores import available_cores
from search.workers.trial_runner import TrialRunner
from tests.search.search_helpers import clockless, launch, stored


@pytest.mark.skipif(available_cores() < 2, reason="a second worker needs a second core")
def test_more_workers_give_the_same_measurements(tiny: Path, tmp_path: Path) -> None:
    options = ("--benchmark", "pope", "--questions", "20", "--sampler", "random", "--budget", "16", "--no-race")
    process = launch(tmp_path, "--model", tiny, *options, "--workers", "2")
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, out + err
    trials, alone = clockless(stored(tmp_path)), TrialRunner(str(tiny), "validation", 20, 0)
    assert [trial.number for trial in trials] == list(range(16))
    for trial in trials:
        measured, _ = alone.measure("pope", trial.config, ())
        costs = {name: getattr(measured, name) for name in ("flops", "flops_ratio", "paper_flops", "tokens_after_k2")}
        earned = {name: getattr(measured, name) for name in ("accuracy", "accuracy_low", "n", "scores", "metrics")}
        assert replace(trial, **costs, **earned) == trial
