"""Carries an export out: finds the studies, confirms the chosen members, writes the presets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from himap.errors import HimapError
from objectives.benchmarks import EVERY_BENCHMARK
from objectives.errors import ObjectiveError
from objectives.evaluation.checkpoints import Target, resolve
from objectives.options import EVERYTHING, source_of, sources
from search.certifying.confirmer import Asked, Confirmer, studies_of
from search.certifying.selection import JOINT, Chooser, Chosen
from search.errors import SearchError, UsageError
from search.inputs.limits import LEAST_QUESTIONS, check_number
from search.inputs.questions import Library
from storage import Confirmation, SchemaError, StorageError, Store, StudyKey, StudySummary, open_store
from storage.confirmation import HELD_OUT
from storage.pareto import OperatingPoint
from storage.presets import HeldOut, preset_filename, preset_of


def run(options: argparse.Namespace) -> int:
    """The exit code of an export; errors that a user can mend become one line on stderr."""
    try:
        return _export(options, Console(soft_wrap=True, highlight=False))
    except (SearchError, StorageError, ObjectiveError, HimapError, OSError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 2


def _export(options: argparse.Namespace, console: Console) -> int:
    _check(options)
    target = resolve(options.model, options.weights)
    with suppress(SchemaError):  # an older one is upgraded below; but a missing one is not created
        open_store(options.storage, readonly=True).close()
    with open_store(options.storage) as store:
        library, names = _asked_for(options, store, target)
        studies = _studies(store, target, names, console)
        console.print(f"weights    {target.kind}: {target.weights}, digest {target.digest[:12]}", markup=False)
        chooser = Chooser(store, target, library, lambda line: console.print(line, markup=False))
        if options.joint:
            chosen = [chooser.joint(studies, options.max_flops / 100)]
        else:
            chosen = [each for study in studies.values() for each in chooser.places(study, options.screen)]
        written = _confirmed(options, console, store, target, studies, chosen, library)
    if not written:
        raise UsageError("no front has a member beside dense at a useful place; search with a larger --budget")
    return 0


def _check(options: argparse.Namespace) -> None:
    check_number("--questions", options.questions, LEAST_QUESTIONS)
    if options.screen:
        check_number("--screen", options.screen, LEAST_QUESTIONS, "0 (none) or ")
    if not 0 < options.max_flops <= 100:
        raise UsageError(f"got --max-flops {options.max_flops:g}; expected a percentage above 0")
    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"got --out {options.out}, which is a file; expected a folder")


def _asked_for(options: argparse.Namespace, store: Store, target: Target) -> tuple[Library, list[str]]:
    """Questions that are not embedded, and the benchmarks to confirm on: [] for all embedded ones."""
    keys = [summary.key for summary in store.studies() if summary.key.weights_digest == target.digest]
    official = sorted({key.benchmark for key in keys if key.source and key.benchmark in EVERY_BENCHMARK})
    embedded = not (options.data or options.data_root or options.hub)
    if embedded and options.benchmark == EVERYTHING:
        source_of(options, "pope")  # for options that contradict each other
        return Library(), []
    if not embedded and not options.data and options.benchmark == EVERYTHING and not official:
        raise UsageError(f"{store.location} has no search of {target.name} on questions of --data-root or --hub")
    chosen = sources(options, dict.fromkeys(official))
    if embedded:
        return Library(), [source.benchmark for source in chosen]
    library = Library(chosen)
    return library, list(library.part(HELD_OUT, options.questions))


def _studies(store: Store, target: Target, asked: list[str], console: Console) -> dict[str, StudySummary]:
    found = studies_of(store, target, asked)
    if not asked:
        for name in [name for name, study in found.items() if study.key.source]:
            source = store.questions(found.pop(name).id)
            what = f"add {source.options}" if source else "give them by --data, --data-root or --hub"
            console.print(f"{name}: left out, its questions are not embedded ({what})", markup=False)
    lacking = [name for name in asked if name not in found]
    if found and not lacking:
        return found
    others = {s.key.weights_digest[:12] for s in store.studies() if s.key.model == target.name}
    if others - {target.digest[:12]}:
        why = f"it was searched with weights {', '.join(sorted(others))}, here are {target.digest[:12]}"
    else:
        known = sorted({f"{s.key.model} on {s.key.questions}" for s in store.studies()})
        why = f"it holds searches of {', '.join(known) or 'no model'}"
        why += "; a file's searches end where its rows change" if any("@" in name for name in lacking) else ""
    what = f" on {', '.join(lacking)}" if lacking else ""
    raise UsageError(f"{store.location} has no search of {target.name}{what} with these weights: {why}")


def _confirmed(
    options: argparse.Namespace,
    console: Console,
    store: Store,
    target: Target,
    studies: dict[str, StudySummary],
    chosen: list[Chosen],
    library: Library,
) -> list[Path]:
    """Confirms and writes preset by preset, so that a stop loses no more than the one it was at."""
    written: list[Path] = []
    with _progress(console) as (began, step, done):
        confirmer = Confirmer(store, target, options.questions, on_step=step, library=library)
        records = library.records(HELD_OUT, options.questions)
        wanted = {i: _asked(each, studies, options.joint) for i, each in enumerate(chosen)}
        began(confirmer.missing([asked for each in wanted.values() for asked in each]))
        for i, (study, place, trial) in enumerate(chosen):
            results = {asked.benchmark: confirmer.confirm(asked) for asked in wanted[i]}
            held_out = HeldOut(place, results)
            family, layers = target.family, target.shape.layers
            preset = preset_of(study.key, trial, held_out, records, family=family, layers=layers)
            written.append(preset.write(options.out / _filename(study.key, place)))
            done(f"{written[-1]}: {_summary(results)}; {held_out.verdict.partition(':')[0]}")
    return written


def _asked(chosen: Chosen, studies: dict[str, StudySummary], joint: bool) -> list[Asked]:
    study, _, trial = chosen
    config = trial.config
    if not joint:
        return [Asked(study.id, study.key.questions, config, trial.number)]
    return [
        Asked(each.id, name, config, trial.number if each.id == study.id else None) for name, each in studies.items()
    ]


def _filename(key: StudyKey, place: OperatingPoint) -> str:
    if place is JOINT:
        return preset_filename(key.model, "joint")
    return preset_filename(key.model, key.questions, *([] if place.slug == "within-1" else [place.slug]))


def _summary(results: dict[str, Confirmation]) -> str:
    said = []
    for name, each in results.items():
        low, high = 100 * each.difference_low, 100 * each.difference_high
        said.append(
            f"{name} {100 * each.accuracy:.1f} % ({100 * each.difference:+.1f} [{low:+.1f}, {high:+.1f}] to "
            f"dense, n = {each.n}) at {100 * each.flops_ratio:.0f} % FLOPs"
        )
    return ", ".join(said)


Reports = tuple[Callable[[int], None], Callable[[str], None], Callable[[str], None]]


@contextmanager
def _progress(console: Console) -> Iterator[Reports]:
    """A bar in a terminal and plain lines elsewhere: how many measurements, the next one, what came of it."""
    columns: Iterable[TextColumn | BarColumn | MofNCompleteColumn | TimeElapsedColumn] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("confirming", total=None)
        begun: list[str] = []

        def began(total: int) -> None:
            progress.update(task, total=total)
            console.print(f"confirming {total} measurement(s) to make, the rest is stored", markup=False)

        def step(said: str) -> None:
            progress.update(task, description=said, completed=len(begun))
            begun.append(said)
            if not console.is_terminal:
                console.print(f"measuring  {said}", markup=False)

        yield began, step, lambda said: console.print(said, markup=False)
