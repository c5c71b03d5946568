"""A configuration measured again on questions that its search never saw. Pure, no SQL.

The best of many noisy estimates flatters itself; this is the number that a preset may promise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime

from storage.errors import RecordError
from storage.records import utc_now

HELD_OUT = "test"
WITHIN = 0.01  # of accuracy: the loss against dense that a preset promises to stay within, unless it says so


@dataclass(frozen=True)
class Confirmation:
    """One configuration on held-out questions, paired with dense on the same ones.

    Units are those of `storage.Trial`: accuracies 0..1, latencies in milliseconds, `flops_ratio` a part of
    dense; NaN is what was not measured. `difference` is the accuracy less that of dense, -1..1, with its 95 %
    paired interval; all intervals are 95 %. `split` and `n_questions` name the subset as asked for; `n`
    is how many questions that gave. `trial` is the number of the study's trial of this configuration, None
    where the study has none (a preset for several benchmarks). `family` is the model's transformers class,
    `layers` its decoder's depth. `scores` holds one value per question, in question order. Dense has a
    confirmation of its own, with the difference 0.

    Raises RecordError when a number is out of range or an interval does not hold its own mean.
    """

    k1: int
    r1: float
    k2: int
    r2: float
    phi_shallow: str
    phi_deep: str
    seed: int
    n_questions: int
    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    dense_accuracy: float
    difference: float
    difference_low: float
    difference_high: float
    trial: int | None = None
    split: str = HELD_OUT
    family: str = ""
    layers: int = 0
    image_tokens: float = math.nan
    tokens_after_k1: float = math.nan
    tokens_after_k2: float = math.nan
    text_tokens: float = math.nan
    paper_flops: float = math.nan
    flops: float = math.nan
    flops_ratio: float = math.nan
    latency_ms: float = math.nan
    latency_low_ms: float = math.nan
    latency_high_ms: float = math.nan
    dense_latency_ms: float = math.nan
    device: str = ""
    seconds: float = math.nan
    commit: str = ""
    created_at: datetime = field(default_factory=utc_now)
    versions: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    scores: tuple[float, ...] = ()

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

    @property
    def configuration(self) -> tuple[int, float, int, float, str, str, int]:
        """What was measured, as a value that can be compared: k1, r1, k2, r2, both criteria, seed."""
        return self.k1, self.r1, self.k2, self.r2, self.phi_shallow, self.phi_deep, self.seed

    def within(self, loss: float = WITHIN) -> bool:
        """Whether the loss against dense is surely below `loss` (of 1): the whole interval lies above it."""
        return self.difference_low > -loss

    def verdict(self, loss: float = WITHIN) -> str:
        """One line: "confirmed within 1 point", or "not confirmed: " and the figures."""
        if self.within(loss):
            return f"confirmed within {points(loss)}"
        return (
            f"not confirmed: {100 * self.difference:+.1f} points against dense, 95 % interval "
            f"{100 * self.difference_low:+.1f} to {100 * self.difference_high:+.1f}, n = {self.n}"
        )


def points(loss: float) -> str:
    """A part of 1 in points: "1 point", "0.5 points"."""
    return f"{100 * loss:g} point{'' if math.isclose(loss, 0.01) else 's'}"
