"""Certify a search's winners on questions that it never saw, and write them as presets.

    python -m search.export --storage sqlite:///himap.db --model qwenvl --benchmark all --out presets/

The best of hundreds of noisy estimates flatters itself. So the promising configurations of each search first answer
--screen further validation questions, from the cheapest on, to find the operating points: the cheapest whose whole
interval stays within 0.5, 1 and 2 points of dense, else the cheapest whose estimate does; the cheapest not worse than
dense; the front's knee. Those and dense then answer held-out test questions. A preset says what these show: accuracy,
the difference to dense with its 95 % paired interval, both FLOPs, the speed-up with its interval, device and a verdict.
"certified within 1 point" means that the whole interval lies above -1 point; anything else is "not certified", with
the figures. MODEL-BENCHMARK.yaml is the cheapest within 1 point; the others carry their operating point in their
names.

With --joint one preset, MODEL-joint.yaml, replaces all these: of the configurations that cost at most
--max-flops of dense, the one whose worst loss on the chosen benchmarks is smallest.

A search of your own file or of official files is certified on their test part: give the options that the search was
given (--data FILE --metric NAME, --data-root DIR or --hub). A file that has changed since is refused.

Confirmations are kept in the store: run the same command again to resume; nothing is measured twice.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from objectives.benchmarks import EVERY_BENCHMARK
from objectives.options import EVERYTHING, add_model_options, add_source_options, command_parser
from search.cli import add_latency_option, add_storage_option, run_search_command
from search.command_line import words
from search.inputs.limits import HELD_OUT_QUESTIONS


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
    parser.add_argument(
        "--questions",
        type=int,
        default=HELD_OUT_QUESTIONS,
        metavar="N",
        help=f"test questions (default {HELD_OUT_QUESTIONS}); fewer can hardly tell a loss of 1 point from none",
    )
    parser.add_argument(
        "--screen",
        type=int,
        default=HELD_OUT_QUESTIONS,
        metavar="N",
        help="further validation questions that select the operating points "
        f"(default {HELD_OUT_QUESTIONS}; 0: the search's own estimates do)",
    )
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
        from search.certifying.export_run import export  # after parsing: torch takes seconds to import

        export(options)
        return 0

    return run_search_command(run, "stopped; every confirmation so far is stored; run the same command again to resume")


if __name__ == "__main__":
    sys.exit(main())
