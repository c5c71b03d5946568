"""Posterior means of trials by all their validation answers."""

from __future__ import annotations

import numpy as np
import pytest

from himap import PruningConfig
from storage.refined import refined
from tests.search.search_helpers import trial

RIGHT = (1.0,) * 20
DENSE = trial(0, PruningConfig.dense(), "dense", accuracy=1.0, accuracy_low=0.8, accuracy_high=1.0, n=20)
LUCKY = trial(1, PruningConfig(2, 50, 8, 75), accuracy=1.0, accuracy_low=0.8, accuracy_high=1.0, n=20)
PLAIN = trial(2, PruningConfig(2, 60, 8, 75), accuracy=1.0, accuracy_low=0.8, accuracy_high=1.0, n=20)
SCORES = {0: RIGHT, 1: RIGHT, 2: RIGHT}


def test_without_further_answers_nothing_changes() -> None:
    assert refined([DENSE, LUCKY], SCORES, {}) == [DENSE, LUCKY]


def test_further_answers_lower_what_was_luck() -> None:
    half = tuple(np.tile([1.0, 0.0], 40))
    dense, lucky, plain = refined([DENSE, LUCKY, PLAIN], SCORES, {0: [(20, (1.0,) * 80)], 1: [(20, half)]})
    assert (dense.accuracy, dense.n) == (1.0, 20 + 80)
    assert (lucky.n, plain.n) == (100, 20)
    assert lucky.accuracy == pytest.approx(1 - (40.5 - 0) / 125, abs=1e-6)
    assert plain.accuracy == pytest.approx(1 - 0.5 / 45, abs=1e-6)
    for one in (lucky, plain):
        assert one.accuracy_low <= one.accuracy <= one.accuracy_high
    assert lucky.accuracy_high < plain.accuracy


def test_only_questions_that_dense_answered_too_count() -> None:
    _, lucky = refined([DENSE, LUCKY], SCORES, {0: [(20, (1.0,) * 10)], 1: [(25, (0.0,) * 20)]})
    assert lucky.n == 20 + 5
    assert lucky.accuracy == pytest.approx(1 - 5.5 / 50, abs=1e-6)
