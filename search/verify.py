"""Measures on this machine what a preset promises, and says whether it holds.

    python -m search.verify presets/qwenvl-pope.yaml

The preset and dense answer the same test questions again. The promise holds if, on every benchmark, the 95 %
paired interval of the difference to dense lies above what the preset says it may lose (an unconfirmed preset
promises the same, but nobody has checked it). Exit code 0 if it holds, 1 if not, 2 for what cannot be done.

On the weights and the kind of device that the preset names, the same numbers come out. With other weights (a
fine-tuned model, another precision) it tells whether the preset carries over. --model takes what the search
takes; without it, what the preset names. A preset for your own questions, or official ones, needs the same
questions again (--data, --data-root or --hub, as the preset says); others are refused.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from objectives.options import add_source_options


def parser() -> argparse.ArgumentParser:
    summary, _, details = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="python -m search.verify",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("preset", type=Path, metavar="PRESET", help="a preset file")
    made.add_argument("--model", help="qwenvl, llava-7b, llava-13b, a folder or a hub id")
    add_source_options(made)
    made.add_argument("--weights", default="auto", metavar="auto|mini|full|PATH|HUB-ID", help="as for the search")
    made.add_argument(
        "--questions",
        type=int,
        metavar="N",
        help="test questions (default: as many as the preset was confirmed on, else 500)",
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when the promise holds, 1 when it does not, 2 for what cannot be done, 130 when stopped."""
    options = parser().parse_args(arguments)
    try:
        from search.certifying.verify_run import run  # after parsing: torch takes seconds to import

        return run(options)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was kept\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
