"""How long a job may take before its worker counts as hung: generous, and learned from what jobs took."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

FIRST = 3600.0  # seconds, while little is known, and for a worker that loads its model
LEAST = 120.0
MEDIANS, LONGEST = 20.0, 5.0
_KNOWN = 5  # finished jobs after which what they took is a guide


@dataclass
class Limits:
    """Time limits of jobs by kind: an hour until five of the kind are done, then 20 times their median or 5
    times the longest, whichever is more, and never less than two minutes.

    A clock runs for the job that a worker is at: from when it was handed the job or returned the one before.
    """

    first: float = FIRST
    least: float = LEAST
    _took: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _since: dict[int, float] = field(default_factory=dict)

    def begin(self, worker: int) -> None:
        """The worker turns to a job now."""
        self._since[worker] = time.monotonic()

    def end(self, worker: int, kind: str) -> None:
        """The worker returned a result of a job of this kind, and turns to the next."""
        self._took[kind].append(time.monotonic() - self._since[worker])
        self.begin(worker)

    def of(self, kind: str) -> float:
        """Seconds that a job of this kind may take."""
        took = self._took[kind]
        if len(took) < _KNOWN:
            return self.first
        return max(self.least, MEDIANS * median(took), LONGEST * max(took))

    def over(self, worker: int, kind: str) -> bool:
        """Whether the worker is at a job of this kind for longer than that."""
        return time.monotonic() - self._since[worker] > self.of(kind)
