"""Certify the settings of finished searches on questions that they never saw, and write them as presets.

    python -m search.export --storage sqlite:///himap.db --model qwenvl --benchmark all --out presets/

A search certifies within 0.5, 1 and 2 points by itself; this certifies within other margins, on more test questions,
what a search with --no-certify found, or on official files. First the promising settings of each search answer further
validation questions. Then a plan is stored: which settings are tested within each margin, and in which order. Then test
questions decide. For each margin the preset is the cheapest setting that they certify, or dense with the reason.
MODEL-BENCHMARK.yaml is the one within 1 point; the others carry their margin in their names.

--level is the chance that any certificate of a study is wrong, or with --family export any certificate of this export.
Embedded questions have no end: each new plan takes new ones. On a file, or official files, each new plan for the same
test questions has half the level of the one before, since its settings may have been chosen by their answers.

With --joint one preset, MODEL-joint.yaml, replaces all these: of the configurations that cost at most
--max-flops of dense, the one whose worst loss on the chosen benchmarks is smallest. It is an estimate.

A search of your own file or of official files is certified on their test part: give the options that the search was
given (--data FILE --metric NAME, --data-root DIR or --hub). A file that has changed since is refused.

Every answer is stored: run the same command again to resume; a finished one measures nothing and changes no verdict.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from objectives.benchmarks import EVERY_BENCHMARK
from objectives.options import EVERYTHING, add_model_options, add_source_options, command_parser
from search.cli import (
    add_certify_options,
    add_latency_option,
    add_storage_option,
    add_worker_options,
    run_search_command,
)
from search.command_line import words


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("search.export", __doc__)
    add_model_options(parser)
    parser.add_argument(
        "--benchmark",
        nargs="+",
        default=EVERYTHING,
        metavar="NAME",
        help=f"all that the store has of one source (default), or of: {', '.join(EVERY_BENCHMARK)}",
    )
    add_source_options(parser)
    add_storage_option(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("presets"), metavar="DIR", help="where presets go (default presets/)"
    )
    add_certify_options(parser)
    parser.add_argument(
        "--family",
        choices=("study", "export"),
        default="study",
        help="what --level holds for: each study (default), or all studies of this export together",
    )
    add_worker_options(parser)
    add_latency_option(parser)
    parser.add_argument("--joint", action="store_true", help="one preset for all chosen benchmarks together")
    parser.add_argument(
        "--max-flops",
        type=float,
        default=50,
        metavar="PERCENT",
        help="with --joint: true FLOPs of the preset, in percent of dense (default 50)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for what cannot be exported, or 130 (143, 129) when stopped."""
    options = parser().parse_args(words(arguments))

    def run() -> int:
        from search.running.export_run import export  # after parsing: torch takes seconds to import

        export(options)
        return 0

    return run_search_command(run, "stopped; every answer so far is stored; run the same command again to resume")


if __name__ == "__main__":
    sys.exit(main())
