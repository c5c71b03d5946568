"""Carries a launch out: checks the request, opens the pairs, measures, and shows what was found."""

from __future__ import annotations

import argparse
import signal
import sys

from rich.console import Console

from himap.errors import HimapError
from objectives.benchmarks import BENCHMARKS
from objectives.errors import ObjectiveError
from objectives.evaluation.checkpoints import Target, resolve
from objectives.options import sources
from search.errors import SearchError, StudyFailedError, UsageError
from search.inputs.limits import LEAST_QUESTIONS, check_number
from search.inputs.questions import ask, options_of
from search.reporting import report
from search.reporting import report as announce
from search.reporting.progress import Progress, stopper
from search.running.driver import Driver, untimed
from search.sampling.problem import Goals
from search.sampling.samplers import check_sampler
from search.studies.lease_holder import LeaseHolder
from search.studies.open_studies import SPLIT, Request, open_runs
from search.studies.study_run import StudyRun
from search.workers.cluster import Cluster
from search.workers.pool import Pool
from storage import StorageError, Store, open_store

_PIPED_WIDTH = 160


def run(options: argparse.Namespace) -> int:
    """The exit code of a launch; errors that a user can mend become one line on stderr."""
    terminal = sys.stdout.isatty()
    console = Console(soft_wrap=not terminal, width=None if terminal else _PIPED_WIDTH)
    try:
        with Cluster(options.address, options.gpus_per_worker) as cluster:
            return _search(options, console, cluster)
    except (SearchError, StorageError, ObjectiveError, HimapError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, highlight=False)
        return 2


def _search(options: argparse.Namespace, console: Console, cluster: Cluster) -> int:
    workers = cluster.workers(options.workers)
    request = _request(options, workers)
    target = resolve(options.model, options.weights)
    with open_store(options.storage) as store, LeaseHolder(store) as holder:
        pairs = open_runs(store, target, request, holder)
        for line in announce.lines(options.model, target, request, pairs, workers, store):
            console.print(line, markup=False, highlight=False)
        stopped = _run(options, request, console, store, holder, target, pairs, cluster)
        _conclude(options, console, pairs, stopped)
    if abandoned := [pair.abandoned for pair in pairs if pair.abandoned]:
        raise StudyFailedError("; ".join(abandoned))
    return 130 if stopped else 0


def _request(options: argparse.Namespace, workers: int) -> Request:
    """The request that the options make; raises an error for what cannot be."""
    chosen = sources(options, BENCHMARKS)
    for flag, least in (("budget", 1), ("questions", LEAST_QUESTIONS), ("seed", 0), ("prefix-mb", 0)):
        check_number(f"--{flag}", getattr(options, flag.replace("-", "_")), least)
    objectives = tuple(dict.fromkeys(options.objectives))
    goals = Goals(objectives, options.max_drop, options.max_flops, options.max_latency)
    check_sampler(options.sampler, goals)
    if options.json and (options.json.is_dir() or not options.json.resolve().parent.is_dir()):
        raise UsageError(f"got --json {options.json}; expected a file in a folder that exists")
    if options.presets.exists() and not options.presets.is_dir():
        raise UsageError(f"got --presets {options.presets}, which is a file; expected a folder")
    asked = [ask(source, SPLIT, options.questions) for source in chosen]
    return Request(asked, options.budget, options.questions, options.sampler, options.seed, workers, goals)


def _run(
    options: argparse.Namespace,
    request: Request,
    console: Console,
    store: Store,
    holder: LeaseHolder,
    target: Target,
    pairs: list[StudyRun],
    cluster: Cluster,
) -> bool:
    """Measures until the budgets are spent; True if the user stopped it before that."""
    if all(pair.done and not untimed(pair.trials) for pair in pairs):
        console.print("nothing to do: every pair has spent its budget (a larger --budget goes on from here)")
        return False
    workers = request.workers
    console.print(f"starting {workers} worker(s), each loads the model ...", highlight=False)
    own = {asked.key: asked.found for asked in request.asked if asked.record}
    prefix = options.prefix_mb * 2**20
    with Pool(workers, target.weights, SPLIT, request.questions, prefix, own, cluster) as pool:
        console.print("workers are up, measuring ...")
        progress = Progress(console, pairs)
        driver = Driver(store, pool, pairs, progress.update, options.race, holder)
        before = signal.signal(signal.SIGINT, stopper(driver.stop, console))
        try:
            with progress:
                driver.run()
        finally:
            signal.signal(signal.SIGINT, before)
    return driver.stopping and not all(pair.done for pair in pairs)


def _conclude(options: argparse.Namespace, console: Console, pairs: list[StudyRun], stopped: bool) -> None:
    for pair in pairs:
        if pair.trials:
            console.print(report.table(pair))
        if pair.exhausted:
            said = f"{pair.key.questions}: no configuration is left that does something new"
            console.print(f"{said}; ended at {len(pair.trials)} of {pair.budget} trials", highlight=False)
    written = report.write_presets(options.presets, pairs)
    if options.json:
        report.write_json(options.json, pairs)
    for path in written:
        console.print(f"preset: {path}", markup=False, highlight=False)
    if written:
        line = f"confirm them: python -m search.export --storage {options.storage} --model {options.model} "
        line += options_of([pair.asked for pair in pairs if pair.asked])
        console.print(line.strip(), markup=False, highlight=False)
    if stopped:
        console.print("stopped early; everything measured is stored, the same command goes on from here")
    line = f"dashboard: streamlit run dashboard/app.py -- --storage {options.storage}"
    console.print(line, markup=False, highlight=False)
