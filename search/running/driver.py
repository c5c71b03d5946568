"""The search itself: asks the studies in turn, keeps workers busy, commits a result before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

from search.studies.lease_holder import LeaseHolder
from search.studies.store_writer import StoreWriter
from search.studies.study import Candidate
from search.studies.study_run import StudyRun, finished_trial, reused_trial, rivals, running_trial
from search.workers.pool import Job, Outcome, Pool
from storage import Latency, Store, Trial
from storage.pareto import front

_RETRIES = 2
_LEAD = 0.1  # of the budget; by so much a pair may be ahead of the others where caches are warm for it
_SHORT, _LONG = 0.03, 0.5  # seconds to wait for an ask, and for a result


class Driver:
    """Runs pairs to their budgets on a pool; `on_trial` is called after each committed trial.

    Asks run in a thread of their own, so that results are committed meanwhile; what comes in while a study is
    asked is told to it afterwards. With `race` a configuration is stopped once it surely loses to a front
    member that costs no more. Latency is measured while nothing else runs: of fronts and baselines at the
    end, or, where it is an objective, of every trial in between. With a `holder`, which holds the pairs'
    leases, nothing is written once a lease is lost, and what is running is noted in the store.
    """

    def __init__(
        self,
        store: Store,
        pool: Pool,
        pairs: list[StudyRun],
        on_trial: Callable[[StudyRun, Trial], None],
        race: bool = True,
        holder: LeaseHolder | None = None,
    ) -> None:
        self._pool, self._pairs, self._on_trial, self._race = pool, pairs, on_trial, race
        self._holder = holder
        self._writer = StoreWriter(store, holder.owner if holder else "")
        self._timer = LatencyTimer(self._writer, pool)
        self._asker = ThreadPoolExecutor(1, "ask")
        self._asking: tuple[StudyRun, Future[Candidate | None]] | None = None
        self._pending: list[tuple[StudyRun, Candidate, Trial]] = []
        self.stopping = False

    def stop(self) -> None:
        """Hands out nothing more; `run` returns when what is running is stored."""
        self.stopping = True

    def run(self) -> None:
        """Returns when every pair has spent its budget or is abandoned, or, after `stop`, when what is running
        is stored.

        Raises:
            StoreLostError: the store stayed away for longer than `writer.PATIENCE`.
            LeaseLostError: another process searches one of the pairs by now.
        """
        try:
            while any(not pair.done for pair in self._pairs):
                if self._holder is not None:
                    self._holder.check()
                self._fill()
                if self._pool.running:
                    self._collect()
                elif (self._asking is None or self.stopping) and not self._time():
                    break
            if not self.stopping:
                for pair in self._pairs:
                    self._timer.finish(pair)
        finally:
            self._asker.shutdown(wait=False, cancel_futures=True)

    def _fill(self) -> None:
        while not self.stopping and self._pool.has_room:
            if self._asking is None:
                pair = None if self._timer.due(self._pairs) else self._next()
                if pair is None:
                    return
                if pair.retry:
                    self._hand(pair, pair.retry.pop())
                    continue
                self._asking = pair, self._asker.submit(pair.study.ask)
            if not self._asked():
                return

    def _next(self) -> StudyRun | None:
        """The pair to serve: the one that is furthest behind, of those that the next worker has caches for
        where none is far behind them."""
        waiting = [pair for pair in self._pairs if pair.wants]
        if not waiting:
            return None
        last = min(waiting, key=lambda pair: pair.progress)
        warm = [pair for pair in waiting if self._pool.prefers(pair.key.questions)]
        best = min(warm, key=lambda pair: pair.progress, default=last)
        return best if best.progress <= last.progress + _LEAD else last

    def _asked(self) -> bool:
        """Takes an answer, if it is there: False if it is not."""
        assert self._asking is not None
        pair, answer = self._asking
        if not wait([answer], _SHORT).done:
            return False
        self._asking = None
        candidate = answer.result()
        for each in self._pending:
            each[0].study.tell(*each[1:])
        self._pending.clear()
        if candidate is None:
            pair.exhausted = True
        elif candidate.known is not None:
            self._keep(pair, candidate, reused_trial(candidate))
        else:
            self._hand(pair, candidate)
        return True

    def _hand(self, pair: StudyRun, candidate: Candidate) -> None:
        pair.running += 1
        racing = rivals(pair, candidate) if self._race else ()
        self._writer.begin(pair.study_id, running_trial(candidate))
        self._pool.submit(Job(pair.key.questions, candidate.config, (pair, candidate), racing))

    def _collect(self) -> None:
        for outcome in self._pool.finished(timeout=_SHORT if self._asking else _LONG):
            self._take(outcome)

    def _take(self, outcome: Outcome) -> None:
        pair, candidate = outcome.job.tag
        pair.running -= 1
        if outcome.lost and candidate.attempts < _RETRIES:
            candidate.attempts += 1
            pair.retry.append(candidate)
            return
        self._keep(pair, candidate, finished_trial(candidate, outcome.fields, outcome.reason))

    def _keep(self, pair: StudyRun, candidate: Candidate, trial: Trial) -> None:
        """Commits a result, then lets it count."""
        self._writer.add(pair.study_id, trial)
        pair.add(trial)
        if pair.study.goals.timed and trial.complete and not trial.latency_ms > 0:
            pair.untimed.append((candidate, trial))
        else:
            self._tell(pair, candidate, trial)
        self._on_trial(pair, trial)

    def _tell(self, pair: StudyRun, candidate: Candidate, trial: Trial) -> None:
        if self._asking is not None and self._asking[0] is pair:
            self._pending.append((pair, candidate, trial))
        else:
            pair.study.tell(candidate, trial)

    def _time(self) -> bool:
        """Measures the latencies that studies wait for; False if there are none."""
        waiting = [(pair, pair.untimed.pop(0)) for pair in self._pairs for _ in list(pair.untimed)]
        for pair, (candidate, trial) in waiting:
            self._tell(pair, candidate, self._timer.time(pair, trial))
        return bool(waiting)


_AT_ONCE = 8


class LatencyTimer:
    """Measures latencies on an idle pool and commits them to their trials' rows."""

    def __init__(self, writer: StoreWriter, pool: Pool) -> None:
        self._writer, self._pool = writer, pool

    def due(self, pairs: Iterable[StudyRun]) -> bool:
        """Whether so many results wait for their latency that the workers should come to rest."""
        return sum(len(pair.untimed) for pair in pairs) >= _AT_ONCE

    def finish(self, pair: StudyRun) -> None:
        """Times the front and the baselines, where that was not done."""
        for trial in untimed(pair.trials):
            self.time(pair, trial)

    def time(self, pair: StudyRun, trial: Trial) -> Trial:
        """The trial with its latency, which is then stored; the trial as it was if that failed."""
        self._pool.submit(Job(pair.key.questions, trial.config, None, timed=True))
        outcomes: list[Outcome] = []
        while self._pool.running:
            outcomes += self._pool.finished(timeout=0.5)
        fields = outcomes[0].fields
        if not fields:
            return trial
        latency = Latency(**fields)
        self._writer.set_latency(pair.study_id, trial.number, latency)
        timed = replace(
            trial,
            latency_ms=latency.median,
            latency_low_ms=latency.low,
            latency_high_ms=latency.high,
            device=latency.device,
        )
        at = next(i for i, each in enumerate(pair.trials) if each.number == trial.number)
        pair.trials[at] = timed
        return timed


def untimed(trials: list[Trial]) -> list[Trial]:
    """Front members and baselines without a latency."""
    members = {trial.number for trial in front(trials)}
    return [
        trial
        for trial in trials
        if trial.complete
        and not trial.latency_ms > 0
        and (trial.number in members or trial.origin not in ("sampler", "warm_start"))
    ]
