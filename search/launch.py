"""Searches the pruning settings of a model on benchmarks: Pareto fronts, presets, a store for the dashboard.

    python -m search.launch --model qwenvl --budget 200

Every finished trial is in the store before it counts; the same command goes on where it was stopped, and does
nothing once the budget is spent. `--model` takes qwenvl, llava-7b, llava-13b (the paper's three), or a folder
or hub id of any supported checkpoint. On a machine without the full weights or without a GPU to hold them,
the first three run on small embedded models of the same architecture, and say so.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from himap.errors import HimapError
from objectives.benchmarks import BENCHMARKS, benchmark
from objectives.errors import ObjectiveError
from search import announce, report
from search.driver import Driver, Pair
from search.errors import SearchError, UsageError
from search.pairs import SPLIT, Request, open_pairs
from search.pool import Pool
from search.progress import Progress, stopper
from search.study import make_sampler
from search.targets import Target, resolve
from storage import StorageError, Store, open_store


def parser() -> argparse.ArgumentParser:
    summary, _, details = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="python -m search.launch", description=summary, epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--model", required=True, help="qwenvl, llava-7b, llava-13b, a folder or a hub id")
    made.add_argument("--budget", required=True, type=int, help="trials per pair, for example 200")
    made.add_argument(
        "--benchmark",
        nargs="+",
        default=["all"],
        metavar="NAME",
        help=f"all (default) or of: {', '.join(BENCHMARKS)}",
    )
    made.add_argument(
        "--weights", default="auto", metavar="auto|mini|full|PATH|HUB-ID",
        help="auto (default) takes full weights only if they are on this machine and a GPU can hold them",
    )  # fmt: skip
    made.add_argument(
        "--storage", default="sqlite:///himap.db", metavar="URL", help="default sqlite:///himap.db"
    )
    made.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="evaluators (default: one per core)"
    )
    made.add_argument(
        "--questions", type=int, default=200, help="validation questions per trial (default 200)"
    )
    made.add_argument("--sampler", default="tpe", help="tpe (default), gp, nsga2 or random")
    made.add_argument(
        "--seed", type=int, default=0, help="of the sampler and the random criterion (default 0)"
    )
    made.add_argument("--presets", type=Path, default=Path("presets"), metavar="DIR", help="default presets/")
    made.add_argument("--json", type=Path, metavar="FILE", help="also write the result as JSON")
    return made


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    console = Console(soft_wrap=not sys.stdout.isatty())
    try:
        return _search(options, console)
    except (SearchError, StorageError, ObjectiveError, HimapError) as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, highlight=False)
        return 2


def _search(options: argparse.Namespace, console: Console) -> int:
    request = _request(options)
    target = resolve(options.model, options.weights)
    with open_store(options.storage) as store:
        pairs = open_pairs(store, target, request)
        for line in announce.lines(options.model, target, request, pairs, options.workers, store):
            console.print(line, markup=False, highlight=False)
        stopped = _run(options.workers, console, store, target, pairs)
        _conclude(options, console, pairs, stopped)
    return 130 if stopped else 0


def _request(options: argparse.Namespace) -> Request:
    """The request that the options make; raises an error for what cannot be."""
    names = list(BENCHMARKS) if options.benchmark == ["all"] else list(dict.fromkeys(options.benchmark))
    for name in names:
        benchmark(name)
    make_sampler(options.sampler, options.seed)
    for flag, least in (("budget", 1), ("workers", 1), ("questions", 20), ("seed", 0)):
        value = getattr(options, flag)
        if value < least:
            raise UsageError(f"got --{flag} {value}; expected a whole number of at least {least}")
    if options.json and not options.json.resolve().parent.is_dir():
        raise UsageError(f"got --json {options.json}; its folder does not exist, create it first")
    return Request(names, options.budget, options.questions, options.sampler, options.seed)


def _run(workers: int, console: Console, store: Store, target: Target, pairs: list[Pair]) -> bool:
    """Measures until the budgets are spent; True if the user stopped it."""
    if all(pair.done for pair in pairs):
        console.print("nothing to do: every pair has spent its budget (a larger --budget goes on from here)")
        return False
    with Pool(workers, target.source, SPLIT, pairs[0].key.n_questions) as pool:
        progress = Progress(console, pairs)
        driver = Driver(store, pool, pairs, progress.update)
        before = signal.signal(signal.SIGINT, stopper(lambda: setattr(driver, "stopping", True), console))
        try:
            with progress:
                driver.run()
        finally:
            signal.signal(signal.SIGINT, before)
    return driver.stopping


def _conclude(options: argparse.Namespace, console: Console, pairs: list[Pair], stopped: bool) -> None:
    for pair in pairs:
        if pair.trials:
            console.print(report.table(pair))
    written = report.write_presets(options.presets, pairs)
    if options.json:
        report.write_json(options.json, pairs)
    for path in written:
        console.print(f"preset: {path}", markup=False, highlight=False)
    if stopped:
        console.print("stopped early; everything measured is stored, the same command goes on from here")
    line = f"dashboard: streamlit run dashboard/app.py -- --storage {options.storage}"
    console.print(line, markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
