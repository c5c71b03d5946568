"""Latency, measured one configuration at a time while nothing else runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from search.keeper import Keeper
from search.pair import Pair
from search.pool import Job, Outcome, Pool
from search.study import configuration
from storage import Latency, Trial
from storage.pareto import front

_AT_ONCE = 8


class Quiet:
    """Measures latencies on an idle pool and commits them to their trials' rows."""

    def __init__(self, keeper: Keeper, pool: Pool) -> None:
        self._keeper, self._pool = keeper, pool

    def due(self, pairs: Iterable[Pair]) -> bool:
        """Whether so many results wait for their latency that the workers should come to rest."""
        return sum(len(pair.untimed) for pair in pairs) >= _AT_ONCE

    def finish(self, pair: Pair) -> None:
        """Times the front and the landmarks, where that was not done."""
        for trial in untimed(pair.trials):
            self.time(pair, trial)

    def time(self, pair: Pair, trial: Trial) -> Trial:
        """The trial with its latency, which is then stored; the trial as it was if that failed."""
        self._pool.submit(Job(pair.key.benchmark, configuration(trial), None, timed=True))
        outcomes: list[Outcome] = []
        while self._pool.running:
            outcomes += self._pool.finished(timeout=0.5)
        fields = outcomes[0].fields
        if not fields:
            return trial
        latency = Latency(**fields)
        self._keeper.set_latency(pair.study_id, trial.number, latency)
        timed = replace(
            trial, latency_ms=latency.median, latency_low_ms=latency.low, latency_high_ms=latency.high,
            device=latency.device,
        )  # fmt: skip
        at = next(i for i, each in enumerate(pair.trials) if each.number == trial.number)
        pair.trials[at] = timed
        return timed


def untimed(trials: list[Trial]) -> list[Trial]:
    """Front members and landmarks without a latency."""
    members = {trial.number for trial in front(trials)}
    return [
        trial
        for trial in trials
        if trial.complete
        and not trial.latency_ms > 0
        and (trial.number in members or trial.origin not in ("sampler", "transfer"))
    ]
