"""The second half of a search: refine and certify what the studies found."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from objectives.data.source import Problem, QuestionSet, load_questions
from objectives.errors import DataError
from search.certifying.certified import CertifiedSetting, keep
from search.certifying.certify_driver import CertifyDriver, CertifyTask
from search.certifying.evidence import Evidence
from search.certifying.refine import Setting
from search.certifying.tasks import (
    CertifyQuestions,
    certify_task,
    embedded_questions_of,
    is_binary,
    other_questions_of,
    searched_scores,
)
from search.config import SearchConfig
from search.inputs.limits import LEAST_QUESTIONS
from search.inputs.questions import StudyQuestions
from search.studies.lease_holder import LeaseHolder
from search.studies.study_run import StudyRun
from search.workers.jobs import WorkerPool
from storage import Ledger, Store

Splits = dict[str, QuestionSet]
_LINE_EVERY = 10.0  # seconds


class CertifyRun:
    """Refines and certifies the studies of a search, one a source of questions.

    Args:
        problem: why a model cannot take a question.

    Attributes:
        reasons: by study, why it cannot be certified.
        panels: what a worker needs of questions that are not embedded, by benchmark and split.
    """

    def __init__(
        self,
        config: SearchConfig,
        store: Store,
        holder: LeaseHolder,
        runs: Sequence[StudyRun],
        questions: Sequence[StudyQuestions],
        problem: Problem,
    ) -> None:
        self._config, self._store, self._holder = config, store, holder
        self._runs = dict(zip(runs, questions, strict=False))  # no runs where certifying is off
        self._tasks: dict[StudyRun, CertifyTask] = {}
        self.reasons: dict[StudyRun, str] = {}
        self.panels: dict[tuple[str, str], QuestionSet] = {}
        self._loaded: dict[StudyRun, Splits] = {}
        for run, part in self._runs.items():
            self._load(run, part, problem)

    def begin(self) -> None:
        """Make the tasks of all studies that have finished exploring."""
        for run, part in self._runs.items():
            if run not in self.reasons and run not in self._tasks and run.done:
                self._begin(run, part)

    @property
    def waiting(self) -> bool:
        """Whether any question is left to ask."""
        return any(task.certifier.waiting for task in self._tasks.values())

    def drive(self, pool: WorkerPool, stop: threading.Event, report: Callable[[str], None]) -> None:
        """Ask all questions that are left, see `CertifyDriver`; report every few seconds."""
        shown, answers = time.monotonic(), 0

        def on_chunk(task: CertifyTask, new: int) -> None:
            nonlocal shown, answers
            answers += new
            if time.monotonic() - shown > _LINE_EVERY:
                shown = time.monotonic()
                phases = ", ".join(f"{one.benchmark} {one.certifier.phase}" for one in self._tasks.values())
                report(f"certify    {answers} further answers; {phases}")

        CertifyDriver(pool, list(self._tasks.values()), self._holder, stop, on_chunk).run()

    def finish(self, run: StudyRun) -> list[CertifiedSetting]:
        """Return what is deployed within each margin, with presets; nothing where a test has not ended."""
        task = self._tasks.get(run)
        if task is None or not task.certifier.done:
            return []
        return keep(self._store, run, task, Path(self._config.presets))

    def reason(self, run: StudyRun) -> str:
        """Return why a study's presets are estimates; "" where they are not, or certifying is off."""
        why = self.reasons.get(run) or (self._tasks[run].failed if run in self._tasks else "")
        return f"{run.key.questions}: not certified, {why}" if why else ""

    def opening_lines(self) -> list[str]:
        """Return what can be certified at best, before anything is measured."""
        lines = []
        for run in self._runs:
            size = self._config.pool
            if run in self._loaded:
                asked = (len(chosen.questions) for (key, name), chosen in self.panels.items() if name != "validation")
                size = min(size, max(asked, default=0))
            if run not in self.reasons:
                level = self._config.level / 100 / len(self._config.margins)
                best = Evidence(np.arange(size), binary=True).at_best(level)
                lines.append(
                    f"certify    {run.key.questions}: {size} test questions, at best within {100 * best:.2g} points"
                )
        return lines

    def _setting(self, pool: int) -> Setting:
        margins = tuple(margin / 100 for margin in self._config.margins)
        return Setting(margins, self._config.level / 100, pool)

    def _load(self, run: StudyRun, part: StudyQuestions, problem: Problem) -> None:
        if part.loaded.benchmark.corpus:
            self.reasons[run] = "its scores depend on the other questions, so that no test has a level: an estimate"
        elif not part.source.embedded:
            try:
                splits = {split: load_questions(part.source, split, None, problem) for split in ("validation", "test")}
            except DataError as error:
                self.reasons[run] = str(error)
                return
            if len(splits["test"].questions) < LEAST_QUESTIONS:
                self.reasons[run] = f"only {len(splits['test'].questions)} test questions, at least {LEAST_QUESTIONS}"
            else:
                self._loaded[run] = splits
                key = part.loaded.key
                for binary in (True, False):
                    _, asked = other_questions_of(
                        splits["validation"], splits["test"], self._config.pool, binary=binary
                    )
                    self.panels |= {(key, split): chosen for split, chosen in asked.items()}

    def _begin(self, run: StudyRun, part: StudyQuestions) -> None:
        n = run.key.n_questions
        questions: CertifyQuestions
        if run in self._loaded:
            binary = is_binary(searched_scores(run.trials, n))
            splits = self._loaded[run]
            questions, _ = other_questions_of(splits["validation"], splits["test"], self._config.pool, binary=binary)
        else:
            questions = embedded_questions_of(part.loaded.questions, self._config.pool)
        spent = sum(trial.n for trial in run.trials if not trial.reused)
        task = certify_task(
            run.key,
            run.trials,
            Ledger(self._store, run.study_id, self._holder.owner),
            questions,
            self._setting(len(questions.test_units)),
            self._config.budget * n - spent,
        )
        if task is None:
            self.reasons[run] = "dense is not measured"
        else:
            self._tasks[run] = task
