"""Carry out the jobs of a store, one after another, and show everything in the dashboard.

    python -m search.service --storage sqlite:///himap.db

Jobs come from `python -m search.submit`; `python -m search.jobs` lists, cancels and resumes them. Each runs in a
process of its own, on this machine or, with --address, on a Ray cluster. Several services may share a store.

You can stop it at any time, or kill it: the next start resumes the job that was running. The first Ctrl-C or SIGTERM
ends when what is being measured is stored, the second at once.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from objectives.options import command_parser, stopping_signals
from search.cli import add_address_option, add_storage_option, run_search_command
from search.command_line import words


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("search.service", __doc__)
    add_storage_option(parser)
    add_address_option(parser)
    parser.add_argument("--no-dashboard", dest="dashboard", action="store_false", help="carry out jobs, and no more")
    parser.add_argument(
        "--port", type=int, metavar="N", help="of the dashboard (default: the first free one from 8501)"
    )
    parser.add_argument(
        "--listen",
        default="localhost",
        metavar="ADDRESS",
        help="where the dashboard listens (default localhost); any other needs sign-in or --read-only",
    )
    parser.add_argument("--read-only", action="store_true", help="let the dashboard's pages change nothing")
    parser.add_argument("--models", metavar="DIR", help="offer the checkpoints in the folders of DIR on New search")
    parser.add_argument("--allow-hub", action="store_true", help="let people search models of the Hugging Face hub")
    parser.add_argument("--uploads", metavar="DIR", help="keep uploaded questions here (default: beside the store)")
    parser.add_argument("--until-idle", action="store_true", help="end once no job is queued or running")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0 when idle, 2 for an error, 130, 143 or 129 when stopped."""
    options = parser().parse_args(words(arguments))
    return run_search_command(lambda: _serve(options), "stopped; the next start resumes")


def _serve(options: argparse.Namespace) -> int:
    from search.serving.dashboard_process import dashboard
    from search.serving.runner import JobRunner
    from storage import JobQueue, open_store
    from storage.commands import absolute_url

    with ExitStack() as stack:
        store = stack.enter_context(open_store(options.storage))
        _report(f"store: {store.location}")
        runner = JobRunner(JobQueue(store), absolute_url(options.storage), options.address, _report)
        if options.dashboard:
            served = dashboard(options.storage, options.port, options.listen, _dashboard_options(options))
            _report(f"dashboard: {stack.enter_context(served)}")
        stack.enter_context(stopping_signals(runner.on_signal))
        runner.run(until_idle=options.until_idle)
    if runner.signum is None:
        return 0
    _report("stopped; the next start resumes")
    return 128 + runner.signum


def _dashboard_options(options: argparse.Namespace) -> list[str]:
    words = [f"--{name}" for name in ("read-only", "allow-hub") if getattr(options, name.replace("-", "_"))]
    values = {name: getattr(options, name) for name in ("models", "uploads", "address")}
    return words + [f"--{name}={value}" for name, value in values.items() if value]


def _report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
