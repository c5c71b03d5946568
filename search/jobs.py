"""List the jobs of a store, cancel and resume them, and show their logs.

    python -m search.jobs --storage sqlite:///himap.db
    python -m search.jobs cancel 3
    python -m search.jobs resume 3
    python -m search.jobs logs 3

A queued job that is cancelled does not run. A running one finishes and stores what it is measuring, as after Ctrl-C.
`resume` queues a cancelled or failed job again, and what it measured counts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from objectives.options import add_json_option, check_json, command_parser, write_json
from search.cli import add_storage_option, run_search_command
from search.command_line import words
from search.errors import UsageError
from search.status import PIPED_WIDTH, ago
from storage import JobQueue, JobRecord, SchemaError, open_store
from storage.job_text import described, state_text
from storage.records import utc_now

_SHOWN = ("id", "kind", "state", "priority", "submitted_by", "folder", "message", "cancelling", "starts")
_MOMENTS = ("submitted_at", "started_at", "ended_at")


def job_document(job: JobRecord) -> dict[str, Any]:
    """Return what there is to say of a job, for JSON."""
    values = asdict(job)
    moments = {name: values[name].isoformat() if values[name] else None for name in _MOMENTS}
    runner = {"host": job.host, "pid": job.pid} if job.state == "running" else None
    known = {name: values[name] for name in _SHOWN}
    return {**known, **moments, "runner": runner, "request": json.loads(job.request)}


def _table(jobs: list[JobRecord]) -> Table:
    table, now = Table(box=box.SIMPLE_HEAD), utc_now()
    for name in ("job", "state", "what", "by", "submitted", "priority", "message"):
        table.add_column(name, overflow="fold")
    for job in jobs:
        age = ago((now - job.submitted_at).total_seconds())
        cells = (str(job.id), state_text(job, now), f"{job.kind} {described(job)}", job.submitted_by, age)
        table.add_row(*cells, str(job.priority), job.message)
    return table


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("search.jobs", __doc__)
    parser.add_argument(
        "action", nargs="?", choices=("list", "cancel", "resume", "logs"), default="list", help="list is the default"
    )
    parser.add_argument("jobs", nargs="*", type=int, metavar="JOB", help="numbers of jobs")
    add_storage_option(parser)
    add_json_option(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 where a job or the store is not there."""
    options = parser().parse_args(words(arguments))
    return run_search_command(lambda: _act(options))


def _act(options: argparse.Namespace) -> int:
    check_json(options.json)
    if options.action != "list" and not options.jobs:
        raise UsageError(
            f"got {options.action} without a job; expected its number, as in search.jobs {options.action} 3"
        )
    changing = options.action in ("cancel", "resume")
    if changing:
        with suppress(SchemaError):  # an older one is upgraded below; but a missing one is not created
            open_store(options.storage, readonly=True).close()
    with open_store(options.storage, readonly=not changing) as store:
        queue = JobQueue(store)
        if options.action == "logs":
            logs = {str(number): queue.log(number) for number in options.jobs}
            write_json(options.json, {"logs": logs}, "".join(logs.values()))
            return 0
        acts: dict[str, Callable[[int], JobRecord]] = {
            "cancel": queue.cancel,
            "resume": queue.resume,
            "list": queue.job,
        }
        chosen = [acts[options.action](number) for number in options.jobs] if options.jobs else queue.jobs()
    if options.json is not None:
        write_json(options.json, {"jobs": [job_document(job) for job in chosen]})
        return 0
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False, markup=False)
    console.print(_table(chosen) if chosen else "no jobs yet")
    return 0


if __name__ == "__main__":
    sys.exit(main())
