"""The search itself: asks the studies in turn, keeps workers busy, commits a result before it counts."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from search.running.latency_timer import LatencyTimer
from search.studies.lease_holder import LeaseHolder
from search.studies.study_run import StudyRun
from search.workers.jobs import Job, WorkerPool

_LEAD = 0.1  # of the budget; by so much a study may be ahead of the others where caches are warm for it
_SHORT, _LONG = 0.03, 0.5  # seconds to wait for an ask, and for a result


class Driver:
    """Runs studies to their budgets on a pool.

    Latency is measured while nothing else runs: of fronts and baselines at the end, or, where it is an objective, of
    every trial in between.

    Args:
        holder: holds the studies' leases; the search ends once one is lost.
        stop: once it is set nothing more is handed out.
    """

    def __init__(
        self,
        pool: WorkerPool,
        runs: Sequence[StudyRun],
        holder: LeaseHolder | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._pool, self._runs, self._holder = pool, runs, holder
        self._stop = stop or threading.Event()
        self._timer = LatencyTimer(pool)

    def run(self) -> None:
        """Return when every study has spent its budget or is abandoned, or, after a stop, when what runs is stored.

        Raises:
            StoreLostError: the store was unavailable for longer than `store_writer.PATIENCE`.
            LeaseLostError: another process searches one of the studies by now.
        """
        try:
            while any(not run.done for run in self._runs):
                if self._holder is not None:
                    self._holder.check()
                self._fill()
                if self._pool.running:
                    self._collect()
                elif (self._asking is None or self._stop.is_set()) and not self._timer.time_waiting(self._runs):
                    break
            if not self._stop.is_set():
                for run in self._runs:
                    self._timer.finish(run)
        finally:
            for run in self._runs:
                run.close()

    @property
    def _asking(self) -> StudyRun | None:
        """The study whose sampler is busy; one is asked at a time."""
        return next((run for run in self._runs if run.asking), None)

    def _fill(self) -> None:
        while not self._stop.is_set() and self._pool.has_room:
            run = self._asking or (None if self._timer.due(self._runs) else self._furthest_behind())
            if run is None:
                return
            candidate = run.next(_SHORT)
            if candidate is not None:
                job = Job(run.key.questions, candidate.config, (run, candidate), candidate.rivals)
                self._pool.submit(job)
            elif run.asking:
                return

    def _furthest_behind(self) -> StudyRun | None:
        """Return the study to serve next.

        It is the one furthest behind of those that the next worker has caches for, unless another is far behind them.
        """
        waiting = [run for run in self._runs if run.wants]
        if not waiting:
            return None
        last = min(waiting, key=lambda run: run.progress)
        warm = [run for run in waiting if self._pool.prefers(run.key.questions)]
        best = min(warm, key=lambda run: run.progress, default=last)
        return best if best.progress <= last.progress + _LEAD else last

    def _collect(self) -> None:
        for outcome in self._pool.finished(timeout=_LONG if self._asking is None else _SHORT):
            run, candidate = outcome.job.tag
            run.commit(candidate, outcome.measurement, outcome.reason, outcome.lost)
