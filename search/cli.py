"""What the commands of the search share: options, the error line, JSON output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from objectives.options import run_command
from search.errors import SearchError, UsageError


def run_search_command(command: Callable[[], int], stopped: str = "stopped") -> int:
    """Run the body of a command: an error that a user can mend becomes one line on stderr and exit code 2."""
    from storage import StorageError  # after parsing: SQLAlchemy takes a moment to import

    return run_command(command, SearchError, StorageError, stopped=stopped)


def add_storage_option(parser: argparse.ArgumentParser, default: str | None = "sqlite:///himap.db") -> None:
    """Add --storage; without a default it is required."""
    text = "the store, sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    shown = f"{text} (default {default})" if default else f"{text}, as given to search.launch"
    parser.add_argument("--storage", metavar="URL", default=default, required=default is None, help=shown)


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
    parser.add_argument("--max-latency", type=float, metavar="MS", help="milliseconds a prompt")


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add --json [FILE], for `check_json` and `write_json`."""
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="print the result as JSON, or write it to FILE"
    )


def check_json(path: str | None) -> None:
    """Refuse a file that cannot be written.

    Raises:
        UsageError: it is a folder, or lies in a folder that does not exist.
    """
    if path not in (None, "-") and (Path(path).is_dir() or not Path(path).resolve().parent.is_dir()):
        raise UsageError(f"got --json {path}; expected a file in a folder that exists")


def write_json(path: str, document: dict[str, Any]) -> None:
    """Print a document ("-"), or write it to a file."""
    text = json.dumps(document, indent=2) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    from himap.files import write_atomically

    write_atomically(path, text)
