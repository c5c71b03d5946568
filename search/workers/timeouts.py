"""How long a job may take before its worker counts as hung: generous, and learned from finished jobs."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

FIRST = 3600.0  # seconds, while little is known, and for a worker that loads its model
LEAST, _MEDIANS, _LONGEST = 120.0, 20.0, 5.0
_KNOWN = 5  # finished jobs after which their times are a guide


@dataclass
class TimeLimits:
    """Time limits of jobs by kind.

    An hour until five of the kind are done; then 20 times their median or 5 times the longest, whichever is more, and
    never less than two minutes. A worker's clock starts when it is handed a job or returns the one before.
    """

    first: float = FIRST
    _seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _since: dict[int, float] = field(default_factory=dict)

    def begin(self, worker: int) -> None:
        """Start the worker's clock."""
        self._since[worker] = time.monotonic()

    def end(self, worker: int, kind: str) -> None:
        """Record that the worker finished a job of this kind, and start its clock for the next."""
        self._seconds[kind].append(time.monotonic() - self._since[worker])
        self.begin(worker)

    def of(self, kind: str) -> float:
        """Return the seconds that a job of this kind may take."""
        seconds = self._seconds[kind]
        if len(seconds) < _KNOWN:
            return self.first
        return max(LEAST, _MEDIANS * median(seconds), _LONGEST * max(seconds))

    def exceeded(self, worker: int, kind: str) -> bool:
        """Return whether the worker's job, of this kind, takes longer than that."""
        return time.monotonic() - self._since[worker] > self.of(kind)
