"""Carry a search out: open the studies, measure, write the presets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.prompt_check import PromptCheck
from search.certifying.certified import FinishedStudy
from search.config import SearchConfig
from search.inputs.questions import SPLIT, searched_questions
from search.reporting.opening import opening_lines
from search.reporting.presets import certify_command, write_preset
from search.reporting.result import Phase, Progress, SearchResult, StudyResult
from search.running.certify_run import CertifyRun
from search.running.driver import Driver
from search.running.expected import Expected
from search.running.further import FurtherQuestions, Wanted
from search.running.latency_timer import untimed
from search.sampling.problem import FIELDS
from search.studies.lease_holder import LeaseHolder
from search.studies.open_studies import open_runs
from search.studies.study_run import StudyRun
from search.workers.cluster import Cluster
from search.workers.pool import Pool
from search.workers.trial_runner import runner_maker
from storage import QuestionSource, Trial, open_store


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
        target = resolve(config.model, config.weights, config.gpus_of_a_worker, config.dtype)
        check = PromptCheck(target.weights)
        questions = searched_questions(check, config.sources(), config.questions)
        with open_store(config.storage) as store, LeaseHolder(store) as holder:
            runs = open_runs(store, config, target, questions, check, holder, workers)

            def report(phase: Phase, message: str = "", study: StudyRun | None = None) -> None:
                if on_progress is not None:
                    on_progress(Progress(phase, runs, stop.set, message, study))

            for line in opening_lines(config, target, questions, runs, workers, store.location):
                report("message", line)
            wanted = Wanted(config.margins, config.level, config.pool, config.latency_batch)
            further = FurtherQuestions(wanted, questions if config.certify else [], check.problem)
            certifying = CertifyRun(store, holder, further)
            for line in further.opening_lines():
                report("message", line)
            _begin(certifying, runs, config)
            if all(study.done and not untimed(study.trials) for study in runs) and not certifying.waiting:
                report("message", "nothing to do: every study has spent its budget (a larger --budget resumes)")
            else:
                expected = Expected(config, target, check, questions, further, workers)
                report("message", f"starting {workers} worker(s), each loads the model ...")
                own = {part.key: part.loaded for part in questions if part.record}
                sizes = config.questions, config.memory_mb
                maker = runner_maker(target.weights, SPLIT, *sizes, own, further.panels, target.dtype)
                with Pool(workers, maker, cluster) as pool:
                    report("measuring", "workers are up, measuring ...")

                    def on_trial(study: StudyRun, trial: Trial) -> None:
                        report("trial", study=study)
                        if line := expected.corrected(runs, trial):
                            report("message", line)

                    for study in runs:
                        study.on_trial = on_trial
                    Driver(pool, runs, holder, stop).run()
                    _begin(certifying, runs, config)
                    certifying.drive(pool, stop, partial(report, "message"))
            stopped = stop.is_set() and not (all(study.done for study in runs) and not certifying.waiting)
            return SearchResult(tuple(_result(study, config, certifying) for study in runs), stopped)


def _begin(certifying: CertifyRun, runs: Sequence[StudyRun], config: SearchConfig) -> None:
    """Take up all studies that have finished exploring; answers that exploring left of the budget refine them."""
    for run in runs:
        if run.done and not run.abandoned:
            spent = sum(trial.n for trial in run.trials if not trial.reused)
            certifying.begin(_finished(run, config), config.budget * run.key.n_questions - spent)


def _finished(run: StudyRun, config: SearchConfig) -> FinishedStudy:
    """Return a study with the trials that keep the limits on costs, and dense; the search's first cost counts."""
    goals = replace(config.goals, max_drop=None)
    kept = [trial for trial in run.trials if trial.origin == "dense" or (trial.complete and goals.within(trial, None))]
    cost = FIELDS[next(name for name in goals.objectives if name != "accuracy")]
    return FinishedStudy(run.study_id, run.key, kept, run.source, run.family, run.study.space.layers, cost)


def _result(run: StudyRun, config: SearchConfig, certifying: CertifyRun) -> StudyResult:
    message = run.abandoned or certifying.reason(run.key.questions)
    if run.exhausted and not message:
        reason = "next to nothing is left to gain" if run.study.spent else "no configuration with a new effect is left"
        message = f"{run.key.questions}: {reason}; exploring ended at {len(run.trials)} of {run.budget} trials"
    options = [run.source] if run.source else [QuestionSource(run.key.benchmark, run.key.benchmark)]
    settings = tuple(certifying.finish(_finished(run, config), Path(config.presets)))
    preset = None if settings else write_preset(Path(config.presets), run, certify_command(config, options))
    return StudyResult(run.key, tuple(run.trials), preset, run.source, bool(run.abandoned), message, settings)
