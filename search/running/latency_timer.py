"""Measure latencies while no worker does anything else."""

from __future__ import annotations

from collections.abc import Iterable

from search.studies.study_run import StudyRun
from search.workers.jobs import Job, Outcome, WorkerPool
from storage import Trial
from storage.pareto import front

_BATCH = 8


class LatencyTimer:
    """Measures the latencies of trials on an idle pool and commits them."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    def due(self, runs: Iterable[StudyRun]) -> bool:
        """Return whether so many trials wait for their latency that the workers should become idle."""
        return sum(len(run.untimed) for run in runs) >= _BATCH

    def time_waiting(self, runs: Iterable[StudyRun]) -> bool:
        """Measure the latencies that samplers wait for; return whether there were any."""
        waiting = [(run, trial) for run in runs for trial in run.untimed]
        for run, trial in waiting:
            self._time(run, trial)
        return bool(waiting)

    def finish(self, run: StudyRun) -> None:
        """Measure the latencies of the front and the baselines that are missing."""
        for trial in untimed(run.trials):
            self._time(run, trial)

    def _time(self, run: StudyRun, trial: Trial) -> None:
        self._pool.submit(Job(run.key.questions, trial.config, timed=True))
        outcomes: list[Outcome] = []
        while self._pool.running:
            outcomes += self._pool.finished(timeout=0.5)
        run.commit_latency(trial, outcomes[0].latency)


def untimed(trials: list[Trial]) -> list[Trial]:
    """Return the members of the front and the baselines without a latency, dense first."""
    members = {trial.number for trial in front(trials)}
    wanted = [trial for trial in trials if trial.complete and (trial.is_baseline or trial.number in members)]
    missing = [trial for trial in wanted if not trial.latency_ms > 0]
    return sorted(missing, key=lambda trial: trial.origin != "dense")
