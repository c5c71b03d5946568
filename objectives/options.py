"""Command-line options and error handling that all commands share. Loads neither torch nor transformers."""

from __future__ import annotations

import argparse
import io
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from himap.errors import HimapError
from himap.files import write_atomically
from himap.urls import mask_words
from objectives.benchmarks import benchmark
from objectives.benchmarks.custom import METRICS
from objectives.data.own_file import BadRowsError
from objectives.data.source import Source
from objectives.errors import ObjectiveError
from objectives.evaluation.known_models import KNOWN
from objectives.json_files import json_text

EVERYTHING = ["all"]
DTYPES = ("auto", "bfloat16", "float16", "float32")
_LONGEST_LINE = 1_500  # letters of an error
STOPPING = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class _Parser(argparse.ArgumentParser):
    """A parser whose errors show no password."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        super().error(_one_line(mask_words(message, self._words)))


def command_parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of `python -m MODULE`; the module's docstring becomes its help text."""
    summary, _, details = (doc or "").partition("\n")
    return _Parser(
        prog=f"python -m {module}",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


class Stopped(KeyboardInterrupt):
    """A signal that ends the process as Ctrl-C does; `signum` says which."""

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.signum = signum


@contextmanager
def stopping_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let a handler take SIGINT, SIGTERM and SIGHUP; those that are ignored, as under nohup, stay so."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        taken = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, handler) for number in taken}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _stop(signum: int, frame: FrameType | None) -> None:
    raise Stopped(signum)


def run_command(command: Callable[[], int], *errors: type[Exception], stopped: str = "stopped") -> int:
    """Run the body of a command and return its exit code.

    Args:
        command: returns the exit code of a run without errors.
        errors: classes that are reported like HimapError, ObjectiveError and OSError: as one line on stderr
            (a list of bad rows keeps its lines), with exit code 2.
        stopped: the line on stderr after Ctrl-C (exit code 130), SIGTERM (143) or SIGHUP (129).
    """
    reported: tuple[type[Exception], ...] = (HimapError, ObjectiveError, OSError, *errors)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that the terminal's encoding does not have
    try:
        with stopping_signals(_stop):
            return command()
    except reported as error:
        message = str(error) if isinstance(error, BadRowsError) else _one_line(str(error))
        sys.stderr.write(f"error: {message}\n")
        return 2
    except KeyboardInterrupt as interrupt:
        with suppress(OSError):  # the terminal is gone after SIGHUP
            sys.stderr.write(f"{stopped}\n")
            sys.stderr.flush()
        return 128 + getattr(interrupt, "signum", signal.SIGINT)


def _one_line(message: str) -> str:
    """Return a message in one line; the middle of a very long one, such as a name of megabytes, is left out."""
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 2 :]}"


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


def add_dtype_option(parser: argparse.ArgumentParser) -> None:
    """Add --dtype, which `objectives.evaluation.models.load` takes."""
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default=DTYPES[0],
        help="what the model computes in; auto (default): as the checkpoint says, on a CPU float32",
    )


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add --data, --metric, --data-root, --hub and --on-bad."""
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="your own questions: JSON lines, CSV, Parquet and more"
    )
    parser.add_argument("--metric", default="", metavar="NAME", help=f"for --data: {', '.join(METRICS)}")
    parser.add_argument(
        "--data-root",
        type=Path,
        metavar="DIR",
        help="a benchmark's official files; with --data the folder of relative image paths",
    )
    parser.add_argument("--hub", action="store_true", help="take the benchmark's dataset from the Hugging Face hub")
    add_bad_option(parser)


def add_bad_option(parser: argparse.ArgumentParser) -> None:
    """Add --on-bad."""
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


def write_json(path: str | None, document: Any, text: str = "") -> None:
    """Print a document ("-") or write it to a file; without --json print the text in its place."""
    written = text if path is None else json_text(document, indent=2) + "\n"
    if path in (None, "-"):
        sys.stdout.write(written)
    else:
        write_atomically(path, written)


def source_of(options: Any, name: str) -> Source:
    """Return the source of one benchmark, or of the user's own file where the name is "".

    Args:
        options: has those of `add_source_options` as attributes.

    Raises:
        DataError: options that contradict each other.
    """
    data, data_root = (path and Path(path) for path in (options.data, options.data_root))
    return Source(name, data, options.metric, data_root, options.hub, options.on_bad == "skip")


def sources(options: Any, names: Sequence[str], everything: Iterable[str]) -> list[Source]:
    """Return a source for each benchmark, or that of the user's own file.

    Args:
        options: as for `source_of`.
        names: of benchmarks, or "all" alone.
        everything: the benchmarks that "all" means.

    Raises:
        DataError: options that contradict each other.
        UnknownBenchmarkError: no benchmark has this name.
    """
    named = list(names) != EVERYTHING
    if options.data is not None:
        return [source_of(options, " ".join(names) if named else "")]
    return [source_of(options, benchmark(name).name) for name in dict.fromkeys(names if named else everything)]
