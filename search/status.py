"""Show how far the searches in a store are: one line a study, also while they run.

    python -m search.status --storage sqlite:///himap.db

The phase is what a study's process does (exploring, refining or certifying), waiting where no process works on a study
that has no certificate yet, or done. It only reads, so a running search is not disturbed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from objectives.options import add_json_option, check_json, command_parser, write_json
from search.cli import add_storage_option, run_search_command
from search.command_line import words
from storage import Lease, RunningTrial, Store, StudySummary, Trial, open_store
from storage.pareto import best_at_half, front, hypervolume
from storage.phase import Phase, phases
from storage.records import utc_now

PIPED_WIDTH = 160
_COUNTED = ("trials", "complete", "pruned", "failed")


def study_status(
    summary: StudySummary,
    trials: list[Trial],
    lease: Lease | None,
    begun: list[RunningTrial],
    phase: Phase,
    now: datetime,
) -> dict[str, Any]:
    """Return how far a study is, counted from its trials, and what runs while its lease is in force.

    Args:
        begun: trials that were handed out and are not stored.
    """
    lease = lease if lease is not None and lease.expires_at > now else None
    running = begun if lease is not None else []
    states = Counter(trial.state for trial in trials)
    latest = max(trials, key=lambda trial: trial.created_at, default=None)
    failed = [trial for trial in trials if trial.failed]
    key = summary.key
    return {
        "study": key.name,
        "model": key.model,
        "benchmark": key.questions,
        "split": key.split,
        "questions": key.n_questions,
        "seed": key.seed,
        "dtype": key.dtype,
        "phase": phase,
        "trials": len(trials),
        "complete": states["complete"],
        "pruned": states["pruned"],
        "failed": states["failed"],
        "front": len(front(trials)),
        "hypervolume": hypervolume(trials),
        "best_at_half_flops": best_at_half(trials),
        "last_trial_at": latest.created_at.isoformat() if latest else None,
        "seconds_since_last_trial": (now - latest.created_at).total_seconds() if latest else None,
        "process": {"host": lease.host, "pid": lease.pid} if lease is not None else None,
        "running": [
            {"number": trial.number, "origin": trial.origin, "seconds": (now - trial.begun_at).total_seconds()}
            for trial in running
        ],
        "last_failure": max(failed, key=lambda trial: trial.created_at).reason if failed else None,
    }


def store_status(store: Store) -> list[dict[str, Any]]:
    """Return the status of every study, by model, benchmark and age."""
    phase_of = phases(store)

    def status(summary: StudySummary) -> dict[str, Any]:
        trials = store.trials(summary.id, scores=False)
        lease, begun = store.lease(summary.id), store.running(summary.id)
        return study_status(summary, trials, lease, begun, phase_of.get(summary.id, "waiting"), utc_now())

    return [status(summary) for summary in store.studies()]


def _table(studies: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("study", overflow="fold")
    table.add_column("phase")
    for name in (*_COUNTED, "running", "front", "hypervolume", "best % at <= 50 % FLOPs", "last trial"):
        table.add_column(name, justify="right")
    for study in studies:
        name = f"{study['model']}/{study['benchmark']}/{study['split']}-{study['questions']}/seed-{study['seed']}"
        best = study["best_at_half_flops"]
        counts = [str(study[state]) for state in _COUNTED]
        counts += [str(len(study["running"])) if study["process"] else "-", str(study["front"])]
        table.add_row(
            name,
            study["phase"],
            *counts,
            f"{study['hypervolume']:.3f}",
            "-" if best is None else f"{100 * best:.1f}",
            ago(study["seconds_since_last_trial"]),
        )
    return table


def ago(seconds: float | None) -> str:
    """Return a duration for people: "12 s ago", "5 min ago", "3 h ago", "2 days ago"; "-" for none."""
    if seconds is None:
        return "-"
    for unit, size, until in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < until:
            return f"{max(0, seconds) / size:.0f} {unit} ago"
    return f"{seconds / 86_400:.0f} days ago"


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("search.status", __doc__)
    add_storage_option(parser, default=None)
    add_json_option(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for a store that cannot be read."""
    options = parser().parse_args(words(arguments))
    return run_search_command(lambda: _show(options.storage, options.json))


def _show(storage: str, json_path: str | None) -> int:
    check_json(json_path)
    with open_store(storage, readonly=True) as store:
        studies = store_status(store)
    if json_path is not None:
        write_json(json_path, {"studies": studies})
        return 0
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    console.print(_table(studies) if studies else "no studies yet")
    for study in studies:
        if study["last_failure"]:
            line = f"{study['model']}/{study['benchmark']} failed last with: {study['last_failure']}"
            console.print(line, markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
