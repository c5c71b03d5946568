"""Evidence that a configuration loses less than a margin: p-values that stay valid while questions are still asked.

The null hypothesis is a mean loss against dense of at least the margin, of scores in [0, 1]. Independent questions are
tested by Tango's score test (Statistics in Medicine 1998) at looks fixed beforehand, each with its own share of the
level (alpha spending, Lan and DeMets, Biometrika 1983). A partial loss counts as a part of a lost answer: of all losses
in [-1, 1] with the same mean gain and mean loss, whole answers spread most, and theirs is the variance of the test.
Questions that share images, and pools below `LEAST_LOOK`, are tested by betting (Waudby-Smith and Ramdas, JRSS-B 2024):
the capital of a bettor who gains when the loss is small is an e-process, and one over its maximum is a p-value at any
time (Ville's inequality).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtr

from objectives.statistics.intervals import tango_score

LEAST_LOOK = 125  # questions of the first look; fewer are tested by bets
# The score test's p-values are too small by a factor of up to 1.22, found by enumeration of all outcomes: 125 to 500
# questions, margins 0.25 to 5 points, gained answers up to 15 %, levels 0.2 to 5 %.
EXCESS = 1.25
FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.99)  # of the largest bet that cannot lose everything


@dataclass(frozen=True)
class Look:
    """A moment of the score test: after `n` questions, with this share of the level."""

    n: int
    share: float


def looks(pool: int) -> tuple[Look, ...]:
    """Return the looks at a pool: at all its questions, at half of them, and so on down to `LEAST_LOOK`."""
    sizes = [pool]
    while sizes[-1] // 2 >= LEAST_LOOK:
        sizes.append(sizes[-1] // 2)
    bounds = [0, *reversed(sizes)]
    return tuple(Look(n, (n / pool) ** 3 - (before / pool) ** 3) for before, n in itertools.pairwise(bounds))


def score_p_value(lost: Any, gained: Any, n: int, margin: float) -> Any:
    """Return the one-sided p-value of "the loss is at least `margin`" by Tango's score test, made conservative.

    Args:
        lost, gained: sums of the losses and of the gains against dense over `n` questions, in answers; numbers, or
            arrays of one shape, which is that of the result.
        margin: of 1.
    """
    return np.minimum(1.0, EXCESS * ndtr(-tango_score(gained, lost, n, -margin)))


def looks_p_value(losses: np.ndarray, margin: float, plan: Sequence[Look]) -> float:
    """Return the p-value over all looks that were reached.

    Args:
        losses: (n,) dense's score less the configuration's, in [-1, 1], in the order of asking.
    """
    lost, gained = np.cumsum(losses.clip(min=0)), np.cumsum((-losses).clip(min=0))
    reached = [look for look in plan if look.n <= len(losses)]
    values = [score_p_value(lost[k.n - 1], gained[k.n - 1], k.n, margin) / k.share for k in reached]
    return min([1.0, *values])


def bets_p_value(losses: np.ndarray, units: np.ndarray, largest: int, margin: float, weights: Sequence[float]) -> float:
    """Return the p-value by betting, over all whole units that were asked.

    Args:
        losses: (n,) dense's score less the configuration's, in [-1, 1], in the order of asking.
        units: (n,) number of each question's unit; questions of a unit stand side by side.
        largest: questions of the largest unit of the pool.
        weights: of `FRACTIONS`; they sum to 1 and are fixed before the first question.
    """
    capital = np.exp(_log_capital(losses, units, largest, margin).clip(max=600)) @ np.asarray(weights)
    return float(min(1.0, 1 / max(1.0, capital.max(initial=1.0))))


def bet_weights(losses: np.ndarray, units: np.ndarray, largest: int, margin: float, pool: int) -> tuple[float, ...]:
    """Return the weights of `FRACTIONS` that validation questions recommend for a pool; a tenth is spread evenly.

    Args:
        losses, units, largest: of validation questions, as for `bets_p_value`.
    """
    even = np.full(len(FRACTIONS), 1 / len(FRACTIONS))
    if not len(losses):
        return tuple(even.tolist())
    growth = _log_capital(losses, units, largest, margin)[-1] * (pool / len(losses))
    share = np.exp(growth - growth.max())
    return tuple((0.9 * share / share.sum() + 0.1 * even).tolist())


@dataclass(frozen=True)
class Evidence:
    """The test of one plan.

    Attributes:
        units: (pool,) number of each question's unit, in the order of asking; a unit's questions stand side by side.
        weights: of the bets, by margin; empty where looks suffice.
    """

    units: np.ndarray
    weights: Mapping[float, tuple[float, ...]] = field(default_factory=dict)

    @property
    def pool(self) -> int:
        """Questions of the pool."""
        return len(self.units)

    @property
    def largest(self) -> int:
        """Questions of the largest unit."""
        return int(np.unique(self.units, return_counts=True)[1].max())

    @property
    def by_looks(self) -> bool:
        """Whether the score test applies: to enough independent questions, where no plan says otherwise."""
        return not self.weights and self.largest == 1 and self.pool >= LEAST_LOOK

    def p_value(self, losses: np.ndarray, margin: float) -> float:
        """Return the p-value of a loss of at least `margin`, by the losses on the first questions of the pool."""
        if self.by_looks:
            return looks_p_value(losses, margin, looks(self.pool))
        if 0 < len(losses) < self.pool:  # a bet is on a whole unit
            losses = losses[: int(np.searchsorted(self.units[: len(losses)] == self.units[len(losses)], True))]
        weights = self.weights.get(margin) or bet_weights(losses[:0], self.units[:0], self.largest, margin, self.pool)
        return bets_p_value(losses, self.units[: len(losses)], self.largest, margin, weights)

    def chunk_ends(self, size: int) -> list[int]:
        """Return where to cut the pool into chunks of about `size`: at looks, or between units."""
        if self.by_looks:
            fixed = {look.n for look in looks(self.pool)}
            return sorted(fixed | set(range(size, self.pool, size)))
        ends = np.flatnonzero(np.diff(self.units, append=self.units[-1] + 1)) + 1
        wanted = [*range(size, self.pool, size), self.pool]
        return sorted({int(ends[np.searchsorted(ends, end)]) for end in wanted})

    def tightest(self, losses: np.ndarray, level: float) -> float:
        """Return the smallest margin that these losses certify at a level, to 0.0001; 1 if there is none below 1.

        It is the upper end of a confidence interval of the loss.
        """
        low, high = 0, 10_000  # of 10,000
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.p_value(losses, middle / 10_000) <= level else (middle, high)
        return high / 10_000

    def at_best(self, level: float) -> float:
        """Return the smallest margin that the pool can certify at a level: where no answer changes."""
        return self.tightest(np.zeros(self.pool), level)


def least_pool(margin: float, level: float) -> int:
    """Return how many independent questions certify a margin where no answer changes."""
    low, high = 1, 10
    while Evidence(np.arange(high)).p_value(np.zeros(high), margin) > level:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = Evidence(np.arange(middle)).p_value(np.zeros(middle), margin) <= level
        low, high = (low, middle) if enough else (middle, high)
    return high


def _log_capital(losses: np.ndarray, units: np.ndarray, largest: int, margin: float) -> np.ndarray:
    """Return the logarithm of the capital after each unit, for each of `FRACTIONS`: (units, fractions)."""
    starts = np.flatnonzero(np.diff(units, prepend=units[:1] - 1)) if len(units) else np.array([], int)
    gains = np.add.reduceat(margin - losses, starts) if len(starts) else np.array([])
    bets = np.array(FRACTIONS) / (largest * (1 - margin))
    return np.log1p(gains[:, None] * bets).cumsum(0)
