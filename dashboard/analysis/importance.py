"""Which parameters matter: a small random forest, and what it loses when one parameter is shuffled. Pure.

Breiman, "Random forests" (2001): the importance of a parameter is the growth of the error on trials that a
tree did not see when that parameter's values are shuffled among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from storage.records import Trial

PARAMETERS = {"k1": "K1", "r1": "R1", "k2": "K2", "r2": "R2", "phi_shallow": "φ shallow", "phi_deep": "φ deep"}
FEWEST = 30
_MOST, _TREES, _DEPTH, _LEAF = 1000, 24, 8, 4
Tree = tuple[int, float, "Tree", "Tree"] | float


@dataclass(frozen=True)
class Importance:
    """The share of each parameter (sums to 1), and how much of the variance the forest explains on trials
    that its trees did not see (R², at most 1; near 0 the shares mean nothing)."""

    shares: dict[str, float]
    explained: float
    trials: int


def importance(trials: Sequence[Trial], target: str = "accuracy") -> Importance | None:
    """What a numeric field of the trials depends on; None with too few trials or nothing to explain."""
    some = [t for t in trials if t.complete and np.isfinite(getattr(t, target))]
    draw = np.random.default_rng(0)
    if len(some) > _MOST:
        some = [some[i] for i in sorted(draw.choice(len(some), _MOST, replace=False))]
    y = np.array([getattr(trial, target) for trial in some])
    if len(some) < FEWEST or y.std() < 1e-9:
        return None
    x = np.stack([_column([getattr(trial.config, name) for trial in some], y) for name in PARAMETERS], 1)
    worse, guess, votes = np.zeros(x.shape[1]), np.zeros(len(y)), np.zeros(len(y))
    for _ in range(_TREES):
        rows = draw.integers(len(y), size=len(y))
        unseen = np.setdiff1d(np.arange(len(y)), rows)
        tree = _grow(x, y, rows, draw, _DEPTH)
        told = _predict(tree, x[unseen])
        guess[unseen] += told
        votes[unseen] += 1
        base = np.mean((told - y[unseen]) ** 2)
        for feature in range(x.shape[1]):
            shuffled = x[unseen].copy()
            shuffled[:, feature] = draw.permutation(shuffled[:, feature])
            worse[feature] += np.mean((_predict(tree, shuffled) - y[unseen]) ** 2) - base
    seen = votes > 0
    explained = 1 - np.mean((guess[seen] / votes[seen] - y[seen]) ** 2) / y[seen].var()
    worse = np.maximum(worse, 0)
    shares = worse / worse.sum() if worse.sum() else worse
    return Importance(dict(zip(PARAMETERS, shares.tolist(), strict=True)), float(explained), len(some))


def _column(values: list[int] | list[float] | list[str], y: np.ndarray) -> np.ndarray:
    """Numbers as they are; names as the rank of their mean, so that one threshold can split them best."""
    if not isinstance(values[0], str):
        return np.array(values, dtype=float)
    names = np.array(values)
    means = {name: y[names == name].mean() for name in set(values)}
    ranks = {name: rank for rank, name in enumerate(sorted(means, key=lambda name: (means[name], name)))}
    return np.array([float(ranks[name]) for name in values])


def _grow(x: np.ndarray, y: np.ndarray, rows: np.ndarray, draw: np.random.Generator, depth: int) -> Tree:
    """A regression tree; each split tries half of the parameters."""
    target = y[rows]
    if depth == 0 or len(rows) < 2 * _LEAF or np.ptp(target) == 0:
        return float(target.mean())
    best, where = 1e-12, (-1, 0.0)
    for feature in draw.permutation(x.shape[1])[: (x.shape[1] + 1) // 2]:
        gain, threshold = _split(x[rows, feature], target)
        if gain > best:
            best, where = gain, (int(feature), threshold)
    feature, threshold = where
    if feature < 0:
        return float(target.mean())
    left = x[rows, feature] <= threshold
    return (feature, threshold, _grow(x, y, rows[left], draw, depth - 1), _grow(x, y, rows[~left], draw, depth - 1))


def _split(values: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """The fall of the squared error by the best threshold, and that threshold."""
    order = np.argsort(values, kind="stable")
    v, t = values[order], target[order] - target.mean()
    counts = np.arange(1, len(t))
    sums = np.cumsum(t)[:-1]
    gains = sums**2 / counts + sums**2 / (len(t) - counts)  # sums of both sides cancel
    allowed = (v[:-1] < v[1:]) & (counts >= _LEAF) & (len(t) - counts >= _LEAF)
    if not allowed.any():
        return 0.0, 0.0
    best = int(np.argmax(np.where(allowed, gains, -1.0)))
    return float(gains[best]), float((v[best] + v[best + 1]) / 2)


def _predict(tree: Tree, x: np.ndarray) -> np.ndarray:
    if isinstance(tree, float):
        return np.full(len(x), tree)
    feature, threshold, low, high = tree
    left = x[:, feature] <= threshold
    out = np.empty(len(x))
    out[left], out[~left] = _predict(low, x[left]), _predict(high, x[~left])
    return out
