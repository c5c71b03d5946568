"""The options by which every command takes its questions, and the sources that they mean."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from objectives.benchmarks import benchmark
from objectives.benchmarks.custom import METRICS
from objectives.data.source import Source

EVERYTHING = ["all"]


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """--data, --metric, --data-root, --hub and --on-bad."""
    parser.add_argument("--data", type=Path, metavar="FILE", help="your own questions, one JSON object a line")
    parser.add_argument("--metric", default="", metavar="NAME", help=f"for --data: {', '.join(METRICS)}")
    parser.add_argument(
        "--data-root", type=Path, metavar="DIR", help="a benchmark's official files, or where image paths count from"
    )
    parser.add_argument("--hub", action="store_true", help="take the benchmark's dataset from the Hugging Face hub")
    parser.add_argument("--on-bad", choices=["stop", "skip"], default="stop", help="what a row that is bad does")


def source_of(options: argparse.Namespace, name: str) -> Source:
    """The source of one benchmark; of the user's own file where the name is "".

    Raises:
        DataError: options that contradict each other.
    """
    skip = options.on_bad == "skip"
    return Source(name, options.data, options.metric, options.data_root, options.hub, skip)


def sources(options: argparse.Namespace, everything: Iterable[str]) -> list[Source]:
    """A source for each benchmark of `--benchmark NAME ...` ("all": each of `everything`), or the user's own.

    Raises:
        DataError: options that contradict each other; UnknownBenchmarkError: no benchmark has this name.
    """
    named = options.benchmark != EVERYTHING
    if options.data is not None:
        return [source_of(options, " ".join(options.benchmark) if named else "")]
    names = list(dict.fromkeys(options.benchmark if named else everything))
    return [source_of(options, benchmark(name).name) for name in names]
