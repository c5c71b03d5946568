"""The second half of a search: refine and certify what the studies found."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from objectives.data.source import Problem, QuestionSet, load_questions
from search.certifying.certified import CertifiedSetting, FinishedStudy, delivered, keep
from search.certifying.certify_driver import CertifyDriver, CertifyTask
from search.certifying.evidence import Evidence
from search.certifying.refine import Aim
from search.certifying.tasks import (
    CertifyQuestions,
    certify_task,
    embedded_questions_of,
    is_binary,
    other_questions_of,
    searched_scores,
)
from search.inputs.limits import LEAST_QUESTIONS, POOL
from search.inputs.questions import StudyQuestions
from search.studies.lease_holder import LeaseHolder
from search.workers.jobs import Job, WorkerPool
from storage import Latency, Ledger, Store

Panels = dict[tuple[str, str], QuestionSet]
_LINE_EVERY, _WAIT = 10.0, 0.5  # seconds


@dataclass(frozen=True)
class Wanted:
    """What is to be certified of each study.

    Attributes:
        margins: accuracy that may be lost, in points.
        level: chance of any wrong certificate of a study, in percent.
        pool: test questions; None for the default: all of a file of your own, else `POOL`.
        batch: prompts that are timed at once, besides single ones.
        again: whether a stored plan of the same margins, level and pool is taken as it is.
    """

    margins: Sequence[float]
    level: float
    pool: int | None = None
    batch: int = 8
    again: bool = False

    def aim(self, pool: int) -> Aim:
        """Return the same in parts of 1, for a pool of this size."""
        return Aim(tuple(margin / 100 for margin in self.margins), self.level / 100, pool)


class CertifyRun:
    """Refines and certifies studies, one a source of questions.

    Args:
        questions: of the studies; none where certifying is off.
        problem: why a model cannot take a question.

    Raises:
        DataError: the data cannot be used, or a model cannot take it.

    Attributes:
        panels: what a worker needs of questions that are not embedded, by benchmark and split.
    """

    def __init__(
        self, store: Store, holder: LeaseHolder, wanted: Wanted, questions: Iterable[StudyQuestions], problem: Problem
    ) -> None:
        self._store, self._holder, self._wanted = store, holder, wanted
        self._parts = {part.key: part for part in questions}
        self._further: dict[tuple[str, bool], CertifyQuestions] = {}  # by whether scores are right or wrong
        self._tasks: dict[str, CertifyTask] = {}
        self._reasons: dict[str, str] = {}
        self._latencies: dict[str, dict[int, Latency]] = {}  # of delivered trials
        self.panels: Panels = {}
        for part in self._parts.values():
            self._load(part, problem)

    def begin(self, study: FinishedStudy, answers_left: int) -> None:
        """Take up a study that has finished exploring, with as many answers to refine it; once is enough."""
        name = study.key.questions
        if name not in self._parts or name in self._reasons or name in self._tasks:
            return
        questions = self._further[name, is_binary(searched_scores(study.trials))]
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

    def opening_lines(self) -> list[str]:
        """Return what can be certified at best, before anything is measured."""
        lines = []
        for name, part in self._parts.items():
            if name not in self._reasons:
                binary = not part.loaded.benchmark.graded
                units = self._further[name, binary].test_units
                best = Evidence(units, binary).at_best(self._wanted.aim(len(units)).margin_level)
                lines.append(f"certify    {name}: {len(units)} test questions, at best within {100 * best:.2g} points")
        return lines

    def _load(self, part: StudyQuestions, problem: Problem) -> None:
        name, pool = part.key, self._wanted.pool
        if part.loaded.benchmark.corpus:
            self._reasons[name] = "its scores depend on the other questions, so that no test has a level: an estimate"
        elif part.source.embedded:
            further = embedded_questions_of(part.loaded.questions, pool or POOL)
            self._further |= {(name, True): further, (name, False): further}
        else:
            size = part.loaded.sizes.get("test", 0)
            if size < LEAST_QUESTIONS:
                self._reasons[name] = f"only {size} test questions, at least {LEAST_QUESTIONS}"
                return
            splits = {split: load_questions(part.source, split, None, problem) for split in ("validation", "test")}
            pool = pool or (size if part.source.data else POOL)
            for binary in (True, False):
                further, asked = other_questions_of(splits["validation"], splits["test"], pool, binary=binary)
                self._further[name, binary] = further
                self.panels |= {(name, split): chosen for split, chosen in asked.items()}
