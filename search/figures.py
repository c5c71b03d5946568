"""Figures by which a study is judged; pure, and without torch, Ray or Optuna."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np

from storage import Trial
from storage.pareto import front


def hypervolume(trials: Sequence[Trial]) -> float:
    """Area between the front and the point (FLOPs ratio 1, accuracy 0); at most 1."""
    points = np.array([(t.flops_ratio, -t.accuracy) for t in front(trials)])
    return float(moocore.hypervolume(points, ref=[1.0, 0.0])) if len(points) else 0.0


def best_at_half(trials: Sequence[Trial]) -> float | None:
    """The best accuracy (0..1) among complete trials of at most half the dense FLOPs; None without any."""
    return max((t.accuracy for t in trials if t.complete and t.flops_ratio <= 0.5), default=None)
