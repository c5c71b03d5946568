"""The tests of one plan: chains of several margins, which share the level, on answers as they come.

Each margin with a chain begins with an equal part of the level and tests its chain from expensive to cheap. A margin
that certified its whole chain hands its level in equal parts to all that have not, also to those that had ended, which
are then tested again (Bretz et al. 2009): were the parts chosen by what the answers say, the level would not hold.
A futile margin keeps its level, since only a rejected hypothesis may pass level on. What is certified within a margin
is certified within larger ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.certifying.evidence import Evidence

FUTILE = 0.05  # chance to certify, below which a margin ends


@dataclass
class MarginState:
    """The state of one margin's chain.

    Attributes:
        level: of its current test.
        at: position in the chain; its length once all are certified.
        ended: why it ended: "" while open, else "certified", "futile", "spent" (the pool) or "empty" (the chain).
    """

    margin: float
    chain: tuple[int, ...]
    level: float
    at: int = 0
    ended: str = ""

    @property
    def current(self) -> int | None:
        """The configuration under test."""
        return None if self.ended else self.chain[self.at]

    @property
    def certified(self) -> tuple[int, ...]:
        """The configurations that this chain certified, from expensive to cheap."""
        return self.chain[: self.at]


class Certification:
    """Verdicts of one plan, recomputed from the answers: a resumed one ends as one that never stopped.

    Args:
        margins: of 1, with their chains: numbers of configurations from expensive to cheap.
        level: for all of them together.
        prospects: chance to certify a configuration within a margin at a level, by its losses so far; None never
            ends a margin as futile.
    """

    def __init__(
        self,
        evidence: Evidence,
        chains: Mapping[float, Sequence[int]],
        level: float,
        prospects: Callable[[int, float, float, np.ndarray], float] | None = None,
    ) -> None:
        self._evidence, self._prospects = evidence, prospects
        self._chains = {margin: tuple(chain) for margin, chain in sorted(chains.items())}
        self._share = level / max(1, sum(map(bool, chains.values())))
        self.states = self._start()

    @property
    def done(self) -> bool:
        """Whether no margin is open."""
        return all(state.ended for state in self.states)

    def wanted(self) -> list[int]:
        """Return the configurations under test, each once."""
        return sorted({state.current for state in self.states if state.current is not None})

    def advance(self, losses: Mapping[int, np.ndarray]) -> None:
        """Draw every conclusion that the losses allow, as if all had come at once: their order does not matter.

        Args:
            losses: of each configuration on the first questions of the pool, (n,); n may differ.
        """
        self.states = self._start()
        while any(self._step(state, losses) for state in self.states if not state.ended):
            pass  # from the start after each change, since it may decide another margin

    def certified(self, margin: float) -> tuple[int, ...]:
        """Return the configurations that are certified within a margin, smaller margins included."""
        return tuple({one: None for state in self.states if state.margin <= margin for one in state.certified})

    def _start(self) -> list[MarginState]:
        return [
            MarginState(margin, chain, self._share, ended="" if chain else "empty")
            for margin, chain in self._chains.items()
        ]

    def _step(self, state: MarginState, losses: Mapping[int, np.ndarray]) -> bool:
        current = state.chain[state.at]
        known = losses.get(current, np.zeros(0))
        implied = current in self.certified(state.margin)
        if implied or (len(known) and self._evidence.p_value(known, state.margin) <= state.level):
            state.at += 1
            if state.at == len(state.chain):
                self._hand_on(state)
            return True
        if len(known) >= self._evidence.pool:
            state.ended = "spent"
        elif len(known) and self._prospects is not None:
            prospect = self._prospects(current, state.margin, state.level, known)
            state.ended = "futile" if prospect < FUTILE else ""
        return bool(state.ended)

    def _hand_on(self, state: MarginState) -> None:
        state.ended = "certified"
        heirs = [other for other in self.states if other.ended not in ("certified", "empty")]
        for heir in heirs:
            heir.level, heir.ended = heir.level + state.level / len(heirs), ""
