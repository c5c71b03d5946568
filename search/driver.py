"""The search itself: asks the studies in turn, keeps workers busy, commits a result before it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from objectives.provenance import commit, versions
from search.errors import WorkersLostError
from search.pool import Job, Outcome, Pool
from search.study import Candidate, PairStudy
from storage import Store, Trial
from storage.records import StudyKey, utc_now

_RETRIES = 2
_FAILURES_IN_A_ROW = 8


@dataclass
class Pair:
    """A model-benchmark pair in progress: its study, its stored trials and what is being measured."""

    key: StudyKey
    study_id: int
    study: PairStudy
    budget: int
    trials: list[Trial]
    running: int = 0
    exhausted: bool = False
    retry: list[Candidate] = field(default_factory=list)

    @property
    def wants(self) -> bool:
        """Whether another candidate should be handed out."""
        return bool(self.retry) or (not self.exhausted and len(self.trials) + self.running < self.budget)

    @property
    def done(self) -> bool:
        return not self.wants and not self.running


class Driver:
    """Runs pairs to their budgets on a pool; `on_trial` is called after each committed trial."""

    def __init__(
        self, store: Store, pool: Pool, pairs: list[Pair], on_trial: Callable[[Pair, Trial], None]
    ) -> None:
        self._store, self._pool, self._pairs, self._on_trial = store, pool, pairs, on_trial
        self._failures = 0
        self.stopping = False

    def stop(self) -> None:
        """Hands out nothing more; `run` returns when what is running is stored."""
        self.stopping = True

    def run(self) -> None:
        """Returns when every budget is spent, or, after `stop`, when what is running is stored.

        Raises:
            WorkersLostError: measurements fail one after the other, whatever the configuration.
        """
        while any(not pair.done for pair in self._pairs):
            self._fill()
            if not self._pool.running:
                break
            for outcome in self._pool.finished(timeout=0.5):
                self._take(outcome)

    def _fill(self) -> None:
        while not self.stopping and self._pool.has_room:
            waiting = [pair for pair in self._pairs if pair.wants]
            if not waiting:
                return
            pair = min(waiting, key=lambda p: (len(p.trials) + p.running) / p.budget)
            candidate = pair.retry.pop() if pair.retry else pair.study.ask()
            if candidate is None:
                pair.exhausted = True
                continue
            pair.running += 1
            self._pool.submit(Job(pair.key.benchmark, candidate.config, (pair, candidate)))

    def _take(self, outcome: Outcome) -> None:
        pair, candidate = outcome.job.tag
        pair.running -= 1
        if outcome.lost and candidate.attempts < _RETRIES:
            candidate.attempts += 1
            pair.retry.append(candidate)
            return
        trial = _trial(candidate, outcome)
        self._store.add(pair.study_id, trial)
        pair.trials.append(trial)
        pair.study.tell(candidate, trial)
        self._on_trial(pair, trial)
        self._failures = 0 if trial.complete else self._failures + 1
        if self._failures >= _FAILURES_IN_A_ROW:
            raise WorkersLostError(
                f"the last {self._failures} measurements failed, the last one with: {trial.reason}; "
                "what was measured is stored, and the same command goes on from there"
            )


def _trial(candidate: Candidate, outcome: Outcome) -> Trial:
    config = candidate.config
    measured: dict[str, Any] = {"state": "complete", **outcome.fields} if outcome.fields else {}
    return Trial(
        number=candidate.number,
        origin=candidate.origin,
        k1=config.k1, r1=config.r1, k2=config.k2, r2=config.r2,
        phi_shallow=config.phi_shallow, phi_deep=config.phi_deep, seed=config.seed,
        versions=versions(), commit=commit(), created_at=utc_now(),
        **(measured or {"state": "failed", "reason": outcome.reason}),
    )  # fmt: skip
