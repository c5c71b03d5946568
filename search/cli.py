"""What the commands of the search share: options and the error line."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from objectives.options import add_dtype_option, run_command
from search.errors import SearchError
from search.inputs.limits import LEVEL, MARGINS, POOL


def run_search_command(command: Callable[[], int], stopped: str = "stopped") -> int:
    """Run the body of a command: an error that a user can mend becomes one line on stderr and exit code 2."""
    from storage import StorageError  # after parsing: SQLAlchemy takes a moment to import

    return run_command(command, SearchError, StorageError, stopped=stopped)


def add_storage_option(parser: argparse.ArgumentParser, default: str | None = "sqlite:///himap.db") -> None:
    """Add --storage; without a default it is required."""
    text = "the store, sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    shown = f"{text} (default {default})" if default else f"{text}, as given to search.launch"
    parser.add_argument("--storage", metavar="URL", default=default, required=default is None, help=shown)


def add_latency_option(parser: argparse.ArgumentParser) -> None:
    """Add --latency-batch."""
    parser.add_argument(
        "--latency-batch", type=int, default=8, metavar="N", help="batch to time besides single prompts (default 8)"
    )


def add_goal_options(parser: argparse.ArgumentParser) -> None:
    """Add --objectives, --max-drop, --max-flops and --max-latency."""
    parser.add_argument(
        "--objectives",
        nargs="+",
        default=["accuracy", "flops"],
        metavar="NAME",
        help="accuracy with one or two of flops, paper_flops, latency (default accuracy flops)",
    )
    parser.add_argument("--max-drop", type=float, metavar="POINTS", help="accuracy that may be lost, in points")
    parser.add_argument("--max-flops", type=float, metavar="PERCENT", help="true FLOPs, in percent of dense")
    parser.add_argument("--max-latency", type=float, metavar="MS", help="milliseconds to the first token")


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Add how many workers there are and where."""
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="workers (default: one a GPU, without GPUs one a core that this process may use)",
    )
    add_address_option(parser)
    parser.add_argument(
        "--gpus-per-worker",
        type=float,
        metavar="N",
        help="GPUs of each worker: 0.5 for two workers on one, 2 for a model that one cannot hold (default 1 where "
        "there are GPUs)",
    )
    add_dtype_option(parser)


def add_address_option(parser: argparse.ArgumentParser) -> None:
    """Add --address."""
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="join the Ray cluster there instead of starting Ray on this machine; nodes may come and go",
    )


def add_certify_options(parser: argparse.ArgumentParser) -> None:
    """Add --margins, --level and --pool."""
    parser.add_argument(
        "--margins",
        type=float,
        nargs="+",
        metavar="POINTS",
        default=MARGINS,
        help="accuracy that a certified preset may lose, in points (default 0.5 1 2)",
    )
    parser.add_argument(
        "--level",
        type=float,
        metavar="PERCENT",
        default=LEVEL,
        help=f"chance of any wrong certificate of a study, in percent (default {LEVEL:g})",
    )
    parser.add_argument(
        "--pool",
        type=int,
        metavar="N",
        help=f"test questions of a study (default {POOL} embedded or official ones, all of your own)",
    )
