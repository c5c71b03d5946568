"""Which parameters matter."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from dashboard.analysis.importance import MIN_TRIALS, importance
from storage.records import Trial
from tests.dashboard.generated_store import measured


def dependent(count: int) -> list[Trial]:
    """Trials whose accuracy depends on r1 alone, and a little on the shallow criterion."""
    draw = random.Random(0)
    trials = []
    for number in range(count):
        r1, phi = 100 * draw.random(), draw.choice(["instruction", "random", "last_token"])
        base = measured(number, "sampler", draw.randint(1, 5), r1, draw.randint(6, 11), 50.0, phi, "random")
        value = 0.9 - 0.006 * r1 + (0.05 if phi == "instruction" else 0)
        trials.append(replace(base, accuracy=value))
    return trials


def test_the_parameter_that_matters_comes_out_first() -> None:
    result = importance(dependent(150))
    assert result is not None
    assert max(result.shares, key=result.shares.__getitem__) == "r1"
    assert result.shares["r1"] > 0.7
    assert result.shares["phi_shallow"] > max(result.shares["k1"], result.shares["k2"], result.shares["r2"])
    assert sum(result.shares.values()) == pytest.approx(1)
    assert result.explained > 0.8
    assert importance(dependent(150)) == result


def test_noise_explains_nothing() -> None:
    draw = random.Random(1)
    result = importance([replace(trial, accuracy=draw.random()) for trial in dependent(150)])
    assert result is not None
    assert result.explained < 0.2


def test_too_few_or_equal_trials_have_no_importance() -> None:
    trials = dependent(MIN_TRIALS)
    assert importance(trials[:-1]) is None
    assert importance([replace(trial, accuracy=0.5) for trial in trials]) is None
    assert importance([replace(trial, latency_ms=math.nan) for trial in trials], "latency_ms") is None
