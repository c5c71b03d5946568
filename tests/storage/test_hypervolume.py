"""The figures a study is judged by, against values by hand."""

from __future__ import annotations

import pytest

from storage.pareto import best_at_half, hypervolume
from tests.search.reporting.test_report import DENSE, FAILED, at


def test_the_hypervolume_by_hand() -> None:
    two = [at(1, 0.25, 0.5), at(2, 0.5, 0.8)]
    by_hand = (1 - 0.25) * 0.5 + (1 - 0.5) * (0.8 - 0.5)
    assert hypervolume(two) == pytest.approx(by_hand)
    assert hypervolume([*two, at(3, 0.6, 0.7), DENSE, FAILED]) == pytest.approx(by_hand)
    assert hypervolume([FAILED]) == hypervolume([]) == 0.0


def test_the_best_at_half_counts_only_complete_trials_that_are_cheap_enough() -> None:
    assert best_at_half([at(1, 0.51, 0.9), FAILED]) is None
    assert best_at_half([at(1, 0.51, 0.9), at(2, 0.5, 0.625), at(3, 0.1, 0.3)]) == 0.625
