"""How far the searches in a store are: one line a study, also while they run.

    python -m search.status --storage sqlite:///himap.db

Only reads; a search goes on undisturbed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from storage import Lease, RunningTrial, StorageError, Store, StudySummary, Trial, open_store
from storage.pareto import best_at_half, front, hypervolume
from storage.records import utc_now

_PIPED_WIDTH = 160


def study_status(
    summary: StudySummary, trials: list[Trial], lease: Lease | None, begun: list[RunningTrial], now: datetime
) -> dict[str, Any]:
    """What a study has reached, counted from its trials, and what runs while its `lease` is in force;
    `last_failure` is the newest failed one's reason."""
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
            {"number": each.number, "origin": each.origin, "seconds": (now - each.begun_at).total_seconds()}
            for each in running
        ],
        "last_failure": max(failed, key=lambda trial: trial.created_at).reason if failed else None,
    }


def store_status(store: Store) -> list[dict[str, Any]]:
    """The status of every study, by model, benchmark and age."""

    def status(summary: StudySummary) -> dict[str, Any]:
        trials = store.trials(summary.id, scores=False)
        return study_status(summary, trials, store.lease(summary.id), store.running(summary.id), utc_now())

    return [status(summary) for summary in store.studies()]


def _table(studies: list[dict[str, Any]]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("study", overflow="fold")
    for name in (
        "trials",
        "complete",
        "pruned",
        "failed",
        "running",
        "front",
        "hypervolume",
        "best % at <= 50 % FLOPs",
        "last trial",
    ):
        shown.add_column(name, justify="right")
    for each in studies:
        named = f"{each['model']}/{each['benchmark']}/{each['split']}-{each['questions']}/seed-{each['seed']}"
        best = each["best_at_half_flops"]
        counts = [str(each[name]) for name in ("trials", "complete", "pruned", "failed")]
        counts += [str(len(each["running"])) if each["process"] else "-", str(each["front"])]
        shown.add_row(
            named,
            *counts,
            f"{each['hypervolume']:.3f}",
            "-" if best is None else f"{100 * best:.1f}",
            ago(each["seconds_since_last_trial"]),
        )
    return shown


def ago(seconds: float | None) -> str:
    """A duration for people: "12 s ago", "5 min ago", "3 h ago", "2 days ago"; "-" for none."""
    if seconds is None:
        return "-"
    for unit, size, until in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < until:
            return f"{max(0, seconds) / size:.0f} {unit} ago"
    return f"{seconds / 86_400:.0f} days ago"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 and one line on stderr where the store cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m search.status", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--storage", required=True, metavar="URL", help="as given to search.launch")
    parser.add_argument("--json", action="store_true", help="print the studies as JSON")
    options = parser.parse_args(arguments)
    try:
        with open_store(options.storage, readonly=True) as store:
            studies = store_status(store)
    except (StorageError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps({"studies": studies}, indent=2) + "\n")
        return 0
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)
    console.print(_table(studies) if studies else "no studies yet")
    for each in studies:
        if each["last_failure"]:
            line = f"{each['model']}/{each['benchmark']} failed last with: {each['last_failure']}"
            console.print(line, markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
