"""Carries a search out: opens the studies, measures, writes the presets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from objectives.evaluation.checkpoints import Target, resolve
from search.config import SearchConfig
from search.inputs.questions import SPLIT, StudyQuestions, searched_questions
from search.reporting.opening import opening_lines
from search.reporting.presets import write_preset
from search.reporting.result import Progress, SearchResult, StudyResult
from search.running.driver import Driver
from search.running.latency_timer import untimed
from search.studies.lease_holder import LeaseHolder
from search.studies.open_studies import open_runs
from search.studies.study_run import StudyRun
from search.workers.cluster import Cluster
from search.workers.pool import Pool
from search.workers.trial_runner import TrialRunner
from storage import Trial, open_store


def run(config: SearchConfig, on_progress: Callable[[Progress], None] | None = None) -> SearchResult:
    """Search the pruning settings of a model, as `search.launch` does, and write the presets.

    Each trial is stored before it counts: after a stop or a kill the same call resumes the search.

    Args:
        on_progress: called with what was just done; it should return soon.

    Raises:
        SearchError: the request cannot be met, or the workers or the store are lost.
        ObjectiveError: the model or the questions cannot be used.
        StorageError: the store cannot be used, or another process took over a study.
    """
    stop = threading.Event()
    with Cluster(config.address, config.gpus_per_worker) as cluster:
        workers = cluster.workers(config.workers)
        target = resolve(config.model, config.weights)
        questions = searched_questions(target.weights, config.sources(), config.questions)
        with open_store(config.storage) as store, LeaseHolder(store) as holder:
            runs = open_runs(store, config, target, questions, holder, workers)
            reporter = _Reporter(on_progress, runs, stop)
            for line in opening_lines(config, target, questions, runs, workers, store.location):
                reporter.message(line)
            if all(study.done and not untimed(study.trials) for study in runs):
                reporter.message("nothing to do: every study has spent its budget (a larger --budget resumes)")
            else:
                reporter.message(f"starting {workers} worker(s), each loads the model ...")
                with Pool(workers, _runner_maker(config, target, questions), cluster) as pool:
                    reporter.measuring()
                    Driver(pool, runs, holder, stop).run()
            stopped = stop.is_set() and not all(study.done for study in runs)
            return SearchResult(tuple(_result(study, Path(config.presets)) for study in runs), stopped)


class _Reporter:
    """Turns what a search does into calls of its callback."""

    def __init__(
        self, on_progress: Callable[[Progress], None] | None, runs: Sequence[StudyRun], stop: threading.Event
    ) -> None:
        self._call = on_progress or (lambda progress: None)
        self._runs, self._stop = runs, stop

    def message(self, line: str) -> None:
        self._call(Progress("message", self._runs, self._stop.set, line))

    def measuring(self) -> None:
        """Report that the workers are up, and from now on each stored trial."""
        self._call(Progress("measuring", self._runs, self._stop.set, "workers are up, measuring ..."))
        for run in self._runs:
            run.on_trial = self._trial

    def _trial(self, run: StudyRun, trial: Trial) -> None:
        self._call(Progress("trial", self._runs, self._stop.set, run=run))


def _runner_maker(
    config: SearchConfig, target: Target, questions: Sequence[StudyQuestions]
) -> Callable[[], TrialRunner]:
    local = Path(target.weights).is_dir()  # workers start in folders of their own
    weights = str(Path(target.weights).resolve()) if local else target.weights
    own = {part.key: part.loaded for part in questions if part.record}
    return partial(TrialRunner, weights, SPLIT, config.questions, config.prefix_mb * 2**20, own)


def _result(run: StudyRun, presets: Path) -> StudyResult:
    message = run.abandoned
    if run.exhausted and not message:
        message = (
            f"{run.key.questions}: no configuration with a new effect is left; "
            f"ended at {len(run.trials)} of {run.budget} trials"
        )
    preset = write_preset(presets, run)
    return StudyResult(run.key, tuple(run.trials), preset, run.source, bool(run.abandoned), message)
