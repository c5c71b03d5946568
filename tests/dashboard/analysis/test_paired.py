"""Two configurations on the same questions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dashboard.analysis.paired import compare


def test_a_paired_comparison_counts_what_was_lost_and_won() -> None:
    scores = compare([1, 0, 0, 1, math.nan], [1, 1, 1, 0, 1])
    assert scores is not None
    assert (scores.n, set(scores.lost), scores.won) == (4, {1, 2}, (3,))
    assert scores.difference.mean == -0.25
    assert scores.difference.low <= -0.25 <= scores.difference.high
    assert scores.p == pytest.approx(1.0)
    assert compare([math.nan], [1.0]) is None
    assert compare([], []) is None


def test_graded_scores_have_no_mcnemar_and_the_largest_losses_come_first() -> None:
    scores = compare([0.9, 0.0, 0.3], [1.0, 1.0, 0.0])
    assert scores is not None
    assert (scores.p, scores.lost, scores.won) == (None, (1, 0), (2,))


def test_the_bootstrap_covers_the_true_difference() -> None:
    draw, inside = np.random.default_rng(0), 0
    for _ in range(100):
        base = (draw.random(200) < 0.8).astype(float)
        other = np.where(draw.random(200) < 0.1, 1 - base, base)
        scores = compare(other.tolist(), base.tolist())
        assert scores is not None
        inside += scores.difference.low <= 0.1 * (0.2 - 0.8) <= scores.difference.high
    assert inside >= 88
