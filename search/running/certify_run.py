"""The second half of a search: refine and certify what the studies found."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from search.certifying.certified import CertifiedSetting, FinishedStudy, delivered, keep
from search.certifying.certify_driver import CertifyDriver, CertifyTask
from search.certifying.tasks import certify_task
from search.running.further import FurtherQuestions
from search.studies.lease_holder import LeaseHolder
from search.workers.jobs import Job, WorkerPool
from storage import Latency, Ledger, Store

_LINE_EVERY, _WAIT = 10.0, 0.5  # seconds


class CertifyRun:
    """Refines and certifies studies, one a source of questions.

    Args:
        further: the questions to certify on.
    """

    def __init__(self, store: Store, holder: LeaseHolder, further: FurtherQuestions) -> None:
        self._store, self._holder, self._wanted = store, holder, further.wanted
        self._further, self._reasons = further, dict(further.reasons)
        self._tasks: dict[str, CertifyTask] = {}
        self._latencies: dict[str, dict[int, Latency]] = {}  # of delivered trials

    def begin(self, study: FinishedStudy, answers_left: int) -> None:
        """Take up a study that has finished exploring, with as many answers to refine it; once is enough."""
        name = study.key.questions
        if name not in self._further.names or name in self._reasons or name in self._tasks:
            return
        questions = self._further.of(name)
        aim = self._wanted.aim(len(questions.test_units))
        ledger = Ledger(self._store, study.id, self._holder.owner)
        task = certify_task(study, ledger, questions, aim, answers_left, again=self._wanted.again)
        if task is None:
            self._reasons[name] = "dense is not measured"
        else:
            self._tasks[name] = task
            timed = [one for one in self._store.confirmations(study.id) if one.timed_at(self._wanted.batch)]
            self._latencies[name] = {one.trial: one.latency for one in timed if one.trial is not None}

    @property
    def waiting(self) -> bool:
        """Whether any question is left to ask, or any speed to measure."""
        return any(task.certifier.waiting for task in self._tasks.values()) or bool(self._untimed())

    def drive(self, pool: WorkerPool, stop: threading.Event, report: Callable[[str], None]) -> None:
        """Ask all questions that are left, see `CertifyDriver`, then time what is delivered on an idle pool."""
        shown, answers = time.monotonic(), 0

        def on_chunk(task: CertifyTask, new: int) -> None:
            nonlocal shown, answers
            answers += new
            if time.monotonic() - shown > _LINE_EVERY:
                shown = time.monotonic()
                phases = ", ".join(f"{one.benchmark} {one.certifier.phase}" for one in self._tasks.values())
                report(f"certify    {answers} further answers; {phases}")

        CertifyDriver(pool, list(self._tasks.values()), self._holder, stop, on_chunk).run()
        untimed = [] if stop.is_set() else self._untimed()
        if untimed:
            report(f"timing     {len(untimed)} setting(s) and dense in turns, while nothing else runs ...")
        for name, number in untimed:
            pool.submit(Job(name, self._tasks[name].configs[number], timed=True, batch=self._wanted.batch))
            while pool.running:
                for outcome in pool.finished(timeout=_WAIT):
                    if outcome.latency is not None:
                        self._latencies[name][number] = outcome.latency

    def _untimed(self) -> list[tuple[str, int]]:
        """Return the delivered trials without a speed-up."""
        done = {name: task for name, task in self._tasks.items() if task.certifier.done}
        known = self._latencies
        return [(name, n) for name, task in done.items() for n in delivered(task) if n not in known[name]]

    def finish(self, study: FinishedStudy, folder: Path) -> list[CertifiedSetting]:
        """Return what is deployed within each margin, with presets; nothing where a test has not ended."""
        task = self._tasks.get(study.key.questions)
        if task is None or not task.certifier.done:
            return []
        measured = self._latencies[study.key.questions]
        latencies = {number: measured[number] for number in delivered(task) if number in measured}
        return keep(self._store, study, task, folder, latencies)

    def reason(self, name: str) -> str:
        """Return why presets on these questions are estimates; "" where they are not, or certifying is off."""
        why = self._reasons.get(name) or (self._tasks[name].failed if name in self._tasks else "")
        return f"{name}: not certified, {why}" if why else ""
