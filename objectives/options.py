"""Command-line options and error handling that all commands share. Loads neither torch nor transformers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from himap.errors import HimapError
from himap.files import write_atomically
from objectives.benchmarks import benchmark
from objectives.benchmarks.custom import METRICS
from objectives.data.own_file import BadRowsError
from objectives.data.source import Source
from objectives.errors import ObjectiveError
from objectives.evaluation.known_models import KNOWN

EVERYTHING = ["all"]


def command_parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of `python -m MODULE`; the module's docstring becomes its help text."""
    summary, _, details = (doc or "").partition("\n")
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run_command(command: Callable[[], int], *errors: type[Exception], stopped: str = "stopped") -> int:
    """Run the body of a command and return its exit code.

    Args:
        command: returns the exit code of a run without errors.
        errors: classes that are reported like HimapError, ObjectiveError and OSError: as one line on stderr
            (a list of bad rows keeps its lines), with exit code 2.
        stopped: the line on stderr after Ctrl-C, with exit code 130.
    """
    reported: tuple[type[Exception], ...] = (HimapError, ObjectiveError, OSError, *errors)
    try:
        return command()
    except reported as error:
        message = str(error) if isinstance(error, BadRowsError) else " ".join(str(error).split())
        sys.stderr.write(f"error: {message}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{stopped}\n")
        return 130


def add_model_options(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add --model and --weights, which `objectives.evaluation.checkpoints.resolve` takes."""
    names = ", ".join(KNOWN)
    parser.add_argument("--model", required=required, help=f"{names}, a checkpoint's folder or a hub id")
    parser.add_argument(
        "--weights",
        default="auto",
        metavar="auto|mini|full|PATH|HUB-ID",
        help="auto (default) takes full weights only if they are on this machine and a GPU can hold them",
    )


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add --data, --metric, --data-root, --hub and --on-bad."""
    parser.add_argument("--data", type=Path, metavar="FILE", help="your own questions, one JSON object a line")
    parser.add_argument("--metric", default="", metavar="NAME", help=f"for --data: {', '.join(METRICS)}")
    parser.add_argument(
        "--data-root",
        type=Path,
        metavar="DIR",
        help="a benchmark's official files; with --data the folder of relative image paths",
    )
    parser.add_argument("--hub", action="store_true", help="take the benchmark's dataset from the Hugging Face hub")
    parser.add_argument(
        "--on-bad", choices=["stop", "skip"], default="stop", help="what to do at rows that cannot be used"
    )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add --json [FILE], for `check_json` and `write_json`."""
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="print the result as JSON, or write it to FILE"
    )


def check_json(path: str | None) -> None:
    """Raise ObjectiveError where a file is a folder, or lies in one that does not exist."""
    if path not in (None, "-") and (Path(path).is_dir() or not Path(path).resolve().parent.is_dir()):
        raise ObjectiveError(f"got --json {path}; expected a file in a folder that exists")


def write_json(path: str, document: Any) -> None:
    """Print a document ("-"), or write it to a file."""
    text = json.dumps(document, indent=2) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        write_atomically(path, text)


def source_of(options: argparse.Namespace, name: str) -> Source:
    """Return the source of one benchmark, or of the user's own file where the name is "".

    Raises:
        DataError: options that contradict each other.
    """
    skip = options.on_bad == "skip"
    return Source(name, options.data, options.metric, options.data_root, options.hub, skip)


def sources(options: argparse.Namespace, everything: Iterable[str]) -> list[Source]:
    """Return a source for each benchmark of `--benchmark NAME ...`, or that of the user's own file.

    Args:
        everything: the benchmarks that "all" means.

    Raises:
        DataError: options that contradict each other.
        UnknownBenchmarkError: no benchmark has this name.
    """
    named = options.benchmark != EVERYTHING
    if options.data is not None:
        return [source_of(options, " ".join(options.benchmark) if named else "")]
    names = list(dict.fromkeys(options.benchmark if named else everything))
    return [source_of(options, benchmark(name).name) for name in names]
