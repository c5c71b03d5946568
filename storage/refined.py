"""What trials are worth by all their validation answers: the posterior means that fronts are drawn from.

All trials of a search answer the same few questions, so the front of raw means favors luck. Once the best of them have
answered further questions, a trial's loss against dense, question by question, is shrunk by what its answers leave
open: answers that only dense, or only the trial, gives right have independent gamma posteriors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from storage.ledger import Pieces
from storage.records import Trial

PRIOR_N, PRIOR_LOST, PRIOR_GAINED, PRIOR_WRONG = 25.0, 0.5, 0.25, 6.25  # pseudo-counts
_Z = 1.96  # of a 95 % interval


def prior_gained(wrong: float) -> float:
    """Return the pseudo-count of gained answers where dense answers this share of questions wrong."""
    return min(PRIOR_GAINED, PRIOR_WRONG * wrong) + 1e-9


def refined(trials: Sequence[Trial], scores: Mapping[int, Sequence[float]], further: Pieces) -> list[Trial]:
    """Return the trials with posterior means of their accuracy, 95 % intervals of their loss, and all their questions.

    Trials that were not measured to their end, and studies without further answers or dense, stay as they are.

    Args:
        scores: of the search's questions, by trial.
        further: answers to validation questions behind these, as `Ledger.answers` returns them.
    """
    dense = next((trial for trial in trials if trial.origin == "dense" and trial.complete), None)
    if dense is None or not further or dense.number not in scores:
        return list(trials)
    answers = {number: _joined(values, further.get(number, [])) for number, values in scores.items()}
    base = answers[dense.number]
    mean = float(np.nanmean(base))
    return [
        _refined(trial, mean, base, answers[trial.number]) if trial.complete and trial.number in answers else trial
        for trial in trials
    ]


def _joined(scores: Sequence[float], pieces: Sequence[tuple[int, Sequence[float]]]) -> np.ndarray:
    """Return the answers in the order of the questions, NaN where a question was not asked."""
    end = max([len(scores), *(start + len(values) for start, values in pieces)])
    joined = np.full(end, math.nan)
    joined[: len(scores)] = scores
    for start, values in pieces:
        joined[start : start + len(values)] = values
    return joined


def _refined(trial: Trial, mean: float, base: np.ndarray, own: np.ndarray) -> Trial:
    both = min(len(base), len(own))
    losses = base[:both] - own[:both]
    losses = losses[np.isfinite(losses)]
    if not len(losses):
        return trial
    n = len(losses)
    if trial.origin == "dense":
        loss = spread = 0.0
    else:
        lost = float(losses.clip(min=0).sum()) + PRIOR_LOST
        gained = float((-losses).clip(min=0).sum()) + prior_gained(1 - mean)
        loss, spread = (lost - gained) / (n + PRIOR_N), _Z * math.sqrt(lost + gained) / (n + PRIOR_N)
    accuracy = float(np.clip(mean - loss, 0, 1))
    low, high = max(0.0, accuracy - spread), min(1.0, accuracy + spread)
    return replace(trial, accuracy=accuracy, accuracy_low=low, accuracy_high=high, n=n)
