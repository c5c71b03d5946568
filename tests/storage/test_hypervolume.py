"""The figures a study is judged by, against values by hand."""

from __future__ import annotations

import pytest

from himap import PruningConfig
from storage import Trial
from storage.pareto import best_at_half, hypervolume


def at(number: int, ratio: float, accuracy: float) -> Trial:
    config = PruningConfig(2, 30 + number, 8, 75)
    return Trial(number, "complete", "sampler", config, accuracy=accuracy, flops=1e9 * ratio, flops_ratio=ratio)


FAILED = Trial(9, "failed", "sampler", PruningConfig.paper(), reason="out of memory")
DENSE = at(0, 1.0, 0.81)


def test_the_hypervolume_by_hand() -> None:
    two = [at(1, 0.25, 0.5), at(2, 0.5, 0.8)]
    by_hand = (1 - 0.25) * 0.5 + (1 - 0.5) * (0.8 - 0.5)
    assert hypervolume(two) == pytest.approx(by_hand)
    assert hypervolume([*two, at(3, 0.6, 0.7), DENSE, FAILED]) == pytest.approx(by_hand)
    assert hypervolume([FAILED]) == hypervolume([]) == 0.0


def test_the_best_at_half_counts_only_complete_trials_that_are_cheap_enough() -> None:
    assert best_at_half([at(1, 0.51, 0.9), FAILED]) is None
    assert best_at_half([at(1, 0.51, 0.9), at(2, 0.5, 0.625), at(3, 0.1, 0.3)]) == 0.625
