"""Prunes a configuration once it is less accurate, with 95 % confidence, than one that costs no more.

Both answer the same questions in the same shuffled order, so the questions asked are a sample without replacement of
all differences between their scores. Betting against the hypothesis "it is at least as good on all questions" grows a
capital that, under that hypothesis, exceeds 1/α at any time with probability at most α (Waudby-Smith and Ramdas,
"Estimating means of bounded random variables by betting", 2024; Ville's inequality). Several rivals share α. Questions
of one group (POPE's and MME's pairs) are asked side by side: there the groups are the sample, and the bets are on a
group's sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

FAMILY_WISE_ERROR = 0.05  # probability, at most, of pruning a configuration that is as good as every rival
_RIVALS = 3
_EXACT = 1e-9
# Parts of the largest allowed bet; they run side by side, since the best one is not known beforehand.
_BETS = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95])


@dataclass(frozen=True)
class Rival:
    """A front member: its trial number, its costs and its score on every question, in question order."""

    number: int
    flops: float
    paper_flops: float
    scores: tuple[float, ...]


class Race:
    """Decides after each chunk of questions whether to prune a configuration.

    Args:
        rivals: measured front members; those that cost more take no part, and of the others only the most accurate.
        flops, paper_flops: of the configuration.
        groups: the group of each question; without it each question stands alone.

    Attributes:
        reason: why the configuration was pruned; "" if it was not.
    """

    def __init__(
        self, rivals: Sequence[Rival], flops: float, paper_flops: float, groups: Sequence[Hashable] | None = None
    ) -> None:
        cheap = [r for r in rivals if r.flops <= flops and r.paper_flops <= paper_flops]
        cheap.sort(key=lambda r: (-sum(r.scores), r.number))
        self._rivals = cheap[:_RIVALS]
        self._limit = len(self._rivals) / FAMILY_WISE_ERROR
        self._groups = groups
        sizes = Counter(groups or ())
        self._number, self._largest = len(sizes), max(sizes.values(), default=1)
        self.reason = ""

    def __call__(self, indices: Sequence[int], scores: Sequence[float]) -> bool:
        """Return whether to prune.

        Args:
            indices: of the questions so far, in the order asked: groups in random order, each of them whole.
            scores: one in [0, 1] for each.
        """
        for rival in self._rivals:
            theirs = np.array([rival.scores[i] for i in indices])
            gains, n = self._units(indices, theirs - np.asarray(scores))
            if capital(gains, n or len(rival.scores)) >= self._limit:
                self.reason = (
                    f"less accurate than trial {rival.number}, which costs no more, "
                    f"after {len(indices)} of {len(rival.scores)} questions"
                )
                return True
        return False

    def _units(self, indices: Sequence[int], gains: np.ndarray) -> tuple[np.ndarray, int]:
        """Return what is drawn at random, each in [-1, 1], and how many there are; 0 where questions stand alone.

        These are sums over groups, of which all together are at most 0 just where the single gains are.
        """
        if self._groups is None or self._largest == 1:
            return gains, 0
        rows: dict[Hashable, int] = {}
        group_rows = [rows.setdefault(self._groups[i], len(rows)) for i in indices]
        return np.bincount(group_rows, weights=gains) / self._largest, self._number


def capital(gains: np.ndarray, n: int) -> float:
    """Return the largest capital so far of betting that the mean of `n` numbers in [-1, 1] is above 0.

    Args:
        gains: (t,) the numbers seen so far, in random order.
        n: how many there are in all; a mean of at most 0 bounds the rest.
    """
    total = np.concatenate([[0.0], np.cumsum(gains)])
    left = n - np.arange(len(gains) + 1)
    # The largest mean of the numbers left if the mean of all is at most 0; below -1 that is impossible.
    mean = (-total / np.maximum(left, 1))[:-1]
    possible = mean > -1 + _EXACT
    if (total > left + _EXACT).any() or (~possible & (gains > mean + _EXACT)).any():
        return float("inf")
    room = np.where(possible, 1 + mean, 1.0)
    factors = 1 + _BETS[:, None] * np.where(possible, gains - mean, 0.0) / room
    capitals: np.ndarray = np.cumprod(factors, axis=1).mean(0)
    return float(capitals.max(initial=1.0))
