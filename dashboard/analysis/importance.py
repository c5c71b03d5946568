"""Which parameters matter: what a random forest loses when the values of one parameter are shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from storage.records import Trial

PARAMETERS = {"k1": "K1", "r1": "R1", "k2": "K2", "r2": "R2", "phi_shallow": "φ shallow", "phi_deep": "φ deep"}
MIN_TRIALS = 30
_MAX_TRIALS, _TREES, _MIN_LEAF, _SHUFFLES = 1000, 100, 4, 5


@dataclass(frozen=True)
class Importance:
    """The share of each parameter (they sum to 1), computed from so many trials.

    `explained` is the R² of the forest on trials that its trees did not see, at most 1; near 0 the shares mean nothing.
    """

    shares: dict[str, float]
    explained: float
    trials: int


def importance(trials: Sequence[Trial], target: str = "accuracy") -> Importance | None:
    """Return which parameters a numeric field of complete trials depends on; None for fewer than `MIN_TRIALS`
    measured trials, or if they are all the same."""
    measured = [trial for trial in trials if trial.complete and np.isfinite(getattr(trial, target))]
    if len(measured) > _MAX_TRIALS:
        chosen = np.random.default_rng(0).choice(len(measured), _MAX_TRIALS, replace=False)
        measured = [measured[i] for i in sorted(chosen)]
    y = np.array([getattr(trial, target) for trial in measured])
    if len(measured) < MIN_TRIALS or y.std() < 1e-9:
        return None
    x = np.stack([_column([getattr(trial.config, name) for trial in measured], y) for name in PARAMETERS], 1)
    losses, explained = _losses(x, y)
    shares = losses / losses.sum() if losses.any() else losses
    return Importance(dict(zip(PARAMETERS, shares.tolist(), strict=True)), explained, len(measured))


def _losses(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Return what shuffling each column costs a forest, at least 0, and the forest's R² on trials it did not see."""
    from sklearn.ensemble import RandomForestRegressor  # takes a second to import, and one page needs it
    from sklearn.inspection import permutation_importance

    forest = RandomForestRegressor(_TREES, min_samples_leaf=_MIN_LEAF, oob_score=True, random_state=0).fit(x, y)
    result = permutation_importance(forest, x, y, n_repeats=_SHUFFLES, random_state=0)
    return np.maximum(result.importances_mean, 0), float(forest.oob_score_)


def _column(values: Sequence[int | float | str], y: np.ndarray) -> np.ndarray:
    """Return numbers as they are, and names as the rank of their mean, so that one threshold splits them best."""
    if not isinstance(values[0], str):
        return np.array(values, dtype=float)
    names, indices = np.unique(values, return_inverse=True)
    means = [y[indices == i].mean() for i in range(len(names))]
    return np.argsort(np.argsort(means, kind="stable"))[indices].astype(float)
