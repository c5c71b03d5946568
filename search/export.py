"""Confirms a search's winners on questions that it never saw, and writes them as presets.

    python -m search.export --storage sqlite:///himap.db --model qwenvl --benchmark all --out presets/

The best of hundreds of noisy estimates flatters itself. So the likely configurations of each search first
answer --screen further validation questions, from the cheapest on, to find useful places (the cheapest that
surely stays within 0.5, 1 and 2 points of dense, or else is likely to; the cheapest not worse than dense; the
front's knee). Those and dense then answer test questions, one by one. It writes what that says: held-out
accuracy, the difference to dense with its 95 % paired interval, both FLOPs, latency, device and a verdict.
"confirmed within 1 point" means that the whole interval lies above -1 point; anything else is "not
confirmed", with the figures. MODEL-BENCHMARK.yaml is the cheapest within 1 point; the others carry their
place in their names.

With --joint one preset, MODEL-joint.yaml, takes the place of all these: of the configurations that cost at
most --max-flops of dense, the one whose worst loss on the chosen benchmarks is smallest.

What was searched on your own file or on official ones is confirmed on the test part of the same: give the
options that the search was given (--data FILE --metric NAME, --data-root DIR or --hub). A file that has
changed since is refused.

Confirmations are kept in the store: the same command goes on where it was stopped and measures nothing twice.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from objectives.benchmarks import EVERY_BENCHMARK
from objectives.options import add_source_options


def parser() -> argparse.ArgumentParser:
    summary, _, details = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="python -m search.export",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--model", required=True, help="as searched: qwenvl, llava-7b, a folder or a hub id")
    made.add_argument(
        "--benchmark",
        nargs="+",
        default=["all"],
        metavar="NAME",
        help=f"all that the store has of one source (default), or of: {', '.join(EVERY_BENCHMARK)}",
    )
    add_source_options(made)
    made.add_argument("--storage", default="sqlite:///himap.db", metavar="URL", help="default sqlite:///himap.db")
    made.add_argument(
        "--out", type=Path, default=Path("presets"), metavar="DIR", help="where presets go (default presets/)"
    )
    made.add_argument(
        "--questions",
        type=int,
        default=500,
        help="test questions (default 500); a loss of 1 point can hardly be told from none with fewer",
    )
    made.add_argument(
        "--screen",
        type=int,
        default=500,
        metavar="N",
        help="further validation questions by which places are chosen (default 500; 0: by the search's own)",
    )
    made.add_argument("--weights", default="auto", metavar="auto|mini|full|PATH|HUB-ID", help="as for the search")
    made.add_argument("--joint", action="store_true", help="one preset for all chosen benchmarks together")
    made.add_argument(
        "--max-flops",
        type=float,
        default=50,
        metavar="PERCENT",
        help="with --joint: true FLOPs of the preset, in percent of dense (default 50)",
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when presets were written, 2 for what cannot be done, 130 when the user stopped it."""
    options = parser().parse_args(arguments)
    try:
        from search.certifying.export_run import run  # after parsing: torch takes seconds to import

        return run(options)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; everything confirmed is stored, the same command goes on from here\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
