"""Carry an export out: find the studies, certify their settings or measure joint ones, write the presets."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Mapping
from contextlib import suppress

from rich.console import Console

from objectives.benchmarks import EVERY_BENCHMARK
from objectives.data.source import Source
from objectives.evaluation.checkpoints import Target, resolve
from objectives.evaluation.prompt_check import PromptCheck
from objectives.options import EVERYTHING, source_of, sources
from search.certifying.certified import FinishedStudy, table_lines
from search.certifying.confirmer import Confirmer, Selected, studies_of
from search.certifying.selection import JOINT, joint_choice
from search.config import SearchConfig, check_folder
from search.errors import UsageError
from search.inputs.limits import HELD_OUT_QUESTIONS, QUESTIONS, check_certifying, check_number
from search.inputs.questions import SPLIT, Library, StudyQuestions, load_study_questions
from search.running.certify_run import CertifyRun
from search.running.further import FurtherQuestions, Wanted
from search.studies.lease_holder import LeaseHolder
from search.studies.open_studies import of_target
from search.workers.cluster import Cluster
from search.workers.pool import Pool
from search.workers.trial_runner import runner_maker
from storage import SchemaError, Store, StudySummary, open_store
from storage.confirmation import HELD_OUT
from storage.presets import HeldOut, preset_of, preset_path

_REFINED = 200 * QUESTIONS  # answers a study may spend on refining: as many as a search of 200 trials


def export(options: argparse.Namespace) -> None:
    """Carry the command out that `search.export` has parsed.

    Raises:
        UsageError: a value out of range, no such search, or nothing to export.
    """
    _check(options)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    target = resolve(options.model, options.weights, dtype=options.dtype)
    with suppress(SchemaError):  # an older one is upgraded below; but a missing one is not created
        open_store(options.storage, readonly=True).close()
    with open_store(options.storage) as store:
        library, names = _questions(options, store, target)
        studies = _studies(options, store, target, names, console)
        console.print(f"weights    {target.kind}: {target.weights}, digest {target.digest[:12]}")
        if options.joint:
            _write_joint(options, console, store, target, studies, library)
        else:
            _certify(options, console, store, target, studies, library)


def _check(options: argparse.Namespace) -> None:
    check_certifying(options.margins, options.level, options.pool)
    check_number("--latency-batch", options.latency_batch, 1)
    if not 0 < options.max_flops <= 100:
        raise UsageError(f"got --max-flops {options.max_flops:g}; expected a percentage above 0")
    check_folder("out", options.out)


def _questions(options: argparse.Namespace, store: Store, target: Target) -> tuple[Library, list[str]]:
    """Return the questions that are not embedded, and the benchmarks to confirm on: [] for all embedded ones."""
    keys = [summary.key for summary in store.studies() if of_target(summary.key, target)]
    official = sorted({key.benchmark for key in keys if key.source and key.benchmark in EVERY_BENCHMARK})
    embedded = not (options.data or options.data_root or options.hub)
    if embedded and options.benchmark == EVERYTHING:
        source_of(options, "pope")  # for options that contradict each other
        return Library(target.weights), []
    if not embedded and not options.data and options.benchmark == EVERYTHING and not official:
        raise UsageError(f"{store.location} has no search of {target.name} on questions of --data-root or --hub")
    chosen = sources(options, options.benchmark, official)
    if embedded:
        return Library(target.weights), [source.benchmark for source in chosen]
    library = Library(target.weights, chosen)
    return library, list(library.part(HELD_OUT, _joint_pool(options)))


def _studies(
    options: argparse.Namespace, store: Store, target: Target, names: list[str], console: Console
) -> dict[str, StudySummary]:
    studies = studies_of(store, target, names)
    if not names:
        for name in [name for name, study in studies.items() if study.key.source]:
            source = store.questions(studies.pop(name).id)
            what = f"add {source.options}" if source else "give them by --data, --data-root or --hub"
            console.print(f"{name}: left out, its questions are not embedded ({what})")
    lacking = [name for name in names if name not in studies]
    if studies and not lacking:
        return studies
    same = [s.key for s in store.studies() if (s.key.model, s.key.weights_digest) == (target.name, target.digest)]
    dtypes = {key.dtype for key in same if key.questions in lacking or not lacking} - {target.dtype}
    others = {s.key.weights_digest[:12] for s in store.studies() if s.key.model == target.name}
    if dtypes:
        why = f"it was searched with --dtype {', '.join(sorted(dtypes))}, here is {target.dtype}"
    elif others - {target.digest[:12]}:
        why = f"it was searched with weights {', '.join(sorted(others))}, here are {target.digest[:12]}"
    else:
        known = sorted({f"{s.key.model} on {s.key.questions}" for s in store.studies()})
        why = f"it holds searches of {', '.join(known) or 'no model'}"
        why += "; a file's searches end where its rows change" if options.data and lacking else ""
    what = f" on {', '.join(lacking)}" if lacking else ""
    raise UsageError(f"{store.location} has no search of {target.name}{what} with these weights: {why}")


def _certify(
    options: argparse.Namespace,
    console: Console,
    store: Store,
    target: Target,
    studies: Mapping[str, StudySummary],
    library: Library,
) -> None:
    """Certify the studies' settings and write a preset a margin."""
    level = options.level / (len(studies) if options.family == "export" else 1)
    wanted = Wanted(options.margins, level, options.pool, options.latency_batch, again=True)
    check = PromptCheck(target.weights)
    parts = {name: _searched(study, library, options, check) for name, study in studies.items()}
    with LeaseHolder(store) as holder:
        further = FurtherQuestions(wanted, parts.values(), check.problem)
        run = CertifyRun(store, holder, further)
        for line in further.opening_lines():
            console.print(line)
        finished = []
        for name, study in studies.items():
            holder.take(study.id, study.key)
            trials, source = store.trials(study.id), parts[name].record
            finished.append(FinishedStudy(study.id, study.key, trials, source, target.family, target.shape.layers))
            run.begin(finished[-1], _REFINED)
        if run.waiting:
            with Cluster(options.address, options.gpus_per_worker) as cluster:
                workers = cluster.workers(options.workers)
                console.print(f"starting {workers} worker(s), each loads the model ...")
                own = {name: part.loaded for name, part in parts.items() if part.record}
                sizes = QUESTIONS, SearchConfig.memory_mb
                maker = runner_maker(target.weights, SPLIT, *sizes, own, further.panels, target.dtype)
                with Pool(workers, maker, cluster) as pool:
                    run.drive(pool, threading.Event(), console.print)
        settings = [setting for study in finished for setting in run.finish(study, options.out)]
    for line in [*table_lines(settings), *filter(None, map(run.reason, studies))]:
        console.print(line)
    if not settings:
        raise UsageError("no study could be certified, for the reasons above")


def _searched(study: StudySummary, library: Library, options: argparse.Namespace, check: PromptCheck) -> StudyQuestions:
    """Return the questions that a study's search asked."""
    key = study.key
    source = library.part(HELD_OUT, _joint_pool(options))[key.questions].source if key.source else Source(key.benchmark)
    return load_study_questions(source, key.split, key.n_questions, check.problem)


def _joint_pool(options: argparse.Namespace) -> int:
    pool: int | None = options.pool
    return pool or HELD_OUT_QUESTIONS


def _write_joint(
    options: argparse.Namespace,
    console: Console,
    store: Store,
    target: Target,
    studies: Mapping[str, StudySummary],
    library: Library,
) -> None:
    """Measure the best joint configuration on held-out questions of every benchmark, and write its preset."""

    def report(step: str) -> None:
        console.print(f"measuring  {step}")

    study, trial = joint_choice(store, target, library, studies, options.max_flops / 100, report)
    n = _joint_pool(options)
    confirmer = Confirmer(store, target, n, on_step=report, library=library, batch=options.latency_batch)
    results = {
        name: confirmer.confirm(Selected(one.id, name, trial.config, trial.number if one.id == study.id else None))
        for name, one in studies.items()
    }
    held_out, records = HeldOut(JOINT, results), library.records(HELD_OUT, n)
    preset = preset_of(study.key, trial, held_out, records, family=target.family, layers=target.shape.layers)
    path = preset.write(preset_path(options.out, study.key, JOINT.slug))
    for name, result in results.items():
        low, high = 100 * result.difference_low, 100 * result.difference_high
        speed = result.latency.headline
        console.print(
            f"{name}  {100 * result.flops_ratio:.0f} % of FLOPs, {100 * result.accuracy:.1f} % "
            f"({100 * result.difference:+.1f} [{low:+.1f}, {high:+.1f}] to dense, n = {result.n})"
            + (f", speed-up {speed.ratio} ({speed.conditions(result.device)})" if speed else "")
        )
    console.print(f"{path}: {held_out.verdict}")
