"""Carry an export out: find the studies, confirm what was selected, write the presets."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from objectives.benchmarks import EVERY_BENCHMARK
from objectives.evaluation.checkpoints import Target, resolve
from objectives.options import EVERYTHING, source_of, sources
from search.certifying.confirmer import Confirmer, Selected, studies_of
from search.certifying.selection import JOINT, Choice, Selector
from search.config import check_folder
from search.errors import UsageError
from search.inputs.limits import LEAST_QUESTIONS, check_number
from search.inputs.questions import Library
from storage import Confirmation, SchemaError, Store, StudyKey, StudySummary, open_store
from storage.confirmation import HELD_OUT
from storage.pareto import OperatingPoint
from storage.presets import HeldOut, preset_of, preset_path


def export(options: argparse.Namespace) -> None:
    """Carry the command out that `search.export` has parsed.

    Raises:
        UsageError: a value out of range, no such search, or nothing to export.
    """
    _check(options)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    target = resolve(options.model, options.weights)
    with suppress(SchemaError):  # an older one is upgraded below; but a missing one is not created
        open_store(options.storage, readonly=True).close()
    with open_store(options.storage) as store:
        library, names = _questions(options, store, target)
        studies = _studies(options, store, target, names, console)
        console.print(f"weights    {target.kind}: {target.weights}, digest {target.digest[:12]}")
        selector = Selector(store, target, library, console.print)
        if options.joint:
            choices = [selector.joint(studies, options.max_flops / 100)]
        else:
            choices = [c for study in studies.values() for c in selector.operating_points(study, options.screen)]
        written = _write(options, console, store, target, studies, choices, library)
    if not written:
        raise UsageError("no front has an operating point other than dense; search with a larger --budget")


def _check(options: argparse.Namespace) -> None:
    check_number("--questions", options.questions, LEAST_QUESTIONS)
    check_number("--latency-batch", options.latency_batch, 1)
    if options.screen:
        check_number("--screen", options.screen, LEAST_QUESTIONS, "0 (none) or ")
    if not 0 < options.max_flops <= 100:
        raise UsageError(f"got --max-flops {options.max_flops:g}; expected a percentage above 0")
    check_folder("out", options.out)


def _questions(options: argparse.Namespace, store: Store, target: Target) -> tuple[Library, list[str]]:
    """Return the questions that are not embedded, and the benchmarks to confirm on: [] for all embedded ones."""
    keys = [summary.key for summary in store.studies() if summary.key.weights_digest == target.digest]
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
    return library, list(library.part(HELD_OUT, options.questions))


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
    others = {s.key.weights_digest[:12] for s in store.studies() if s.key.model == target.name}
    if others - {target.digest[:12]}:
        why = f"it was searched with weights {', '.join(sorted(others))}, here are {target.digest[:12]}"
    else:
        known = sorted({f"{s.key.model} on {s.key.questions}" for s in store.studies()})
        why = f"it holds searches of {', '.join(known) or 'no model'}"
        why += "; a file's searches end where its rows change" if options.data and lacking else ""
    what = f" on {', '.join(lacking)}" if lacking else ""
    raise UsageError(f"{store.location} has no search of {target.name}{what} with these weights: {why}")


def _write(
    options: argparse.Namespace,
    console: Console,
    store: Store,
    target: Target,
    studies: dict[str, StudySummary],
    choices: list[Choice],
    library: Library,
) -> list[Path]:
    """Confirm and write preset by preset, so that a stop loses one measurement at most."""
    written: list[Path] = []
    with _progress(console) as (begin, step):
        confirmer = Confirmer(
            store, target, options.questions, on_step=step, library=library, batch=options.latency_batch
        )
        records = library.records(HELD_OUT, options.questions)
        selections = [_selected(choice, studies, options.joint) for choice in choices]
        begin(confirmer.missing([selected for selection in selections for selected in selection]))
        for (study, point, trial), selection in zip(choices, selections, strict=True):
            results = {selected.benchmark: confirmer.confirm(selected) for selected in selection}
            held_out = HeldOut(point, results)
            family, layers = target.family, target.shape.layers
            preset = preset_of(study.key, trial, held_out, records, family=family, layers=layers)
            written.append(preset.write(_path(options.out, study.key, point)))
            console.print(f"{written[-1]}: {_summary(results)}; {held_out.verdict.partition(':')[0]}")
    return written


def _selected(choice: Choice, studies: dict[str, StudySummary], joint: bool) -> list[Selected]:
    study, _, trial = choice
    config = trial.config
    if not joint:
        return [Selected(study.id, study.key.questions, config, trial.number)]
    return [
        Selected(other.id, name, config, trial.number if other.id == study.id else None)
        for name, other in studies.items()
    ]


def _path(folder: Path, key: StudyKey, point: OperatingPoint) -> Path:
    benchmark = "joint" if point is JOINT else key.questions
    parts = [] if point is JOINT or point.slug == "within-1" else [point.slug]
    return preset_path(folder, key.weights_digest, key.model, benchmark, *parts)


def _summary(results: dict[str, Confirmation]) -> str:
    parts = []
    for name, result in results.items():
        low, high = 100 * result.difference_low, 100 * result.difference_high
        parts.append(
            f"{name} {100 * result.accuracy:.1f} % ({100 * result.difference:+.1f} [{low:+.1f}, {high:+.1f}] to "
            f"dense, n = {result.n}) at {100 * result.flops_ratio:.0f} % FLOPs, "
            f"{result.speedup:.2f} times as fast [{result.speedup_low:.2f}, {result.speedup_high:.2f}]"
        )
    return ", ".join(parts)


@contextmanager
def _progress(console: Console) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """Yield what to call with the number of measurements, and before each: a bar in a terminal, lines elsewhere."""
    columns: Iterable[TextColumn | BarColumn | MofNCompleteColumn | TimeElapsedColumn] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("certifying", total=None)
        steps: list[str] = []

        def begin(total: int) -> None:
            progress.update(task, total=total)
            console.print(f"certifying {total} measurement(s) to make, the rest is stored")

        def step(description: str) -> None:
            progress.update(task, description=description, completed=len(steps))
            steps.append(description)
            if not console.is_terminal:
                console.print(f"measuring  {description}")

        yield begin, step
