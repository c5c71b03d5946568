"""Measure on this machine whether a preset stays within its margin.

    python -m search.verify presets/qwenvl-pope.yaml

The preset and dense answer the same test questions again. The margin holds if, on every benchmark, the 95 % paired
interval of the difference to dense lies above what the preset says it may lose (an estimate names a margin, too, but
nobody has measured it on such questions). Exit code 0 if it holds, 1 if not, 2 for what cannot be done.

On the weights, in the dtype and on the kind of device that the preset names, the same numbers come out. With other
weights (a fine-tuned model) it shows whether the preset carries over. --model takes what the search takes; without it,
what the preset names. A preset for your own questions, or official ones, needs the same questions again (--data,
--data-root or --hub, as the preset says); others are refused.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from objectives.options import add_model_options, add_source_options, command_parser
from search.cli import add_latency_option, run_search_command
from search.inputs.limits import HELD_OUT_QUESTIONS


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("search.verify", __doc__)
    parser.add_argument("preset", type=Path, metavar="PRESET", help="a preset file")
    add_model_options(parser, required=False)
    add_source_options(parser)
    parser.add_argument(
        "--questions",
        type=int,
        metavar="N",
        help=f"test questions (default: as many as the preset was certified on, else {HELD_OUT_QUESTIONS})",
    )
    add_latency_option(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0 when the margin holds, 1 when not, 2 for an error, 130, 143 or 129 when stopped."""
    options = parser().parse_args(arguments)

    def run() -> int:
        from search.certifying.verify_run import verify  # after parsing: torch takes seconds to import

        return 0 if verify(options) else 1

    return run_search_command(run, "stopped; nothing was kept")


if __name__ == "__main__":
    sys.exit(main())
