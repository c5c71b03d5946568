"""A configuration measured again on questions that its search never saw.

The best of many noisy estimates flatters itself; this is the number that a certificate may rest on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from himap.config import PruningConfig
from storage.errors import RecordError
from storage.records import Measurement

HELD_OUT = "test"
MARGIN = 0.01  # of accuracy: the loss against dense that a preset stays within, unless it says otherwise


@dataclass(frozen=True, kw_only=True)
class Confirmation(Measurement):
    """One configuration on held-out questions, paired with dense on the same ones.

    `difference` is the accuracy less that of dense, -1..1, with its 95 % paired interval. `split` and `n_questions`
    name the subset as asked for; `n` is how many questions that gave. `trial` is the number of the study's trial of
    this configuration, None where the study has none (a preset for several benchmarks). Dense has a confirmation of
    its own, with the difference 0. `bound` is the loss (of 1) that a registered plan certifies not to be exceeded, NaN
    where none does: the interval alone is an estimate.

    Raises:
        RecordError: a number is out of range, or an interval does not hold its own mean.
    """

    config: PruningConfig
    n_questions: int
    dense_accuracy: float
    difference: float
    difference_low: float
    difference_high: float
    trial: int | None = None
    split: str = HELD_OUT
    bound: float = math.nan

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise RecordError(f"confirmation on {self.n_questions} {self.split} questions: {problem}")

    def _problem(self) -> str:
        if self.n < 1:
            return f"got n={self.n}; expected at least one question"
        if self.created_at.utcoffset() is None:
            return "created_at has no time zone; use storage.records.utc_now()"
        if not 0 <= self.accuracy_low <= self.accuracy <= self.accuracy_high:
            return f"got accuracy {self.accuracy} in [{self.accuracy_low}, {self.accuracy_high}]"
        if not self.difference_low <= self.difference <= self.difference_high:
            return f"got difference {self.difference} in [{self.difference_low}, {self.difference_high}]"
        return ""

    def certifies(self, margin: float = MARGIN) -> bool:
        """Return whether a registered plan certifies that the loss against dense is at most `margin` (of 1)."""
        return self.bound <= margin

    def within(self, margin: float = MARGIN) -> bool:
        """Return whether the whole 95 % interval of the loss is below `margin` (of 1): an estimate."""
        return self.difference_low > -margin

    def verdict(self, margin: float = MARGIN) -> str:
        """Return one line: "certified within 1 point", or "not certified: " and the figures."""
        if self.certifies(margin):
            return f"certified within {points(margin)}"
        return (
            f"not certified: {100 * self.difference:+.1f} points against dense, 95 % interval "
            f"{100 * self.difference_low:+.1f} to {100 * self.difference_high:+.1f}, n = {self.n}"
        )


def points(margin: float) -> str:
    """Return a part of 1 in points: "1 point", "0.5 points"."""
    return f"{100 * margin:g} point{'' if math.isclose(margin, 0.01) else 's'}"
