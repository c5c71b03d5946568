"""Searches the pruning settings of a model on benchmarks: Pareto fronts, presets, a store for the dashboard.

    python -m search.launch --model qwenvl --budget 200

Every finished trial is in the store before it counts; the same command goes on where it was stopped, and does
nothing once the budget is spent. `--model` takes qwenvl, llava-7b, llava-13b (the paper's three), or a folder
or hub id of any supported checkpoint. On a machine without the full weights or without a GPU to hold them,
the first three run on small embedded models of the same architecture, and say so.

Questions are those of embedded scenes, or with --data your own, with --data-root or --hub a benchmark's real
ones. The search asks their validation part; the test part stays for confirming (search.export).

    python -m search.launch --model qwenvl --data questions.jsonl --metric vqa_accuracy --budget 200
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from objectives.benchmarks import BENCHMARKS
from objectives.options import add_source_options


def parser() -> argparse.ArgumentParser:
    summary, _, details = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="python -m search.launch",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--model", required=True, help="qwenvl, llava-7b, llava-13b, a folder or a hub id")
    made.add_argument("--budget", required=True, type=int, help="trials per pair, for example 200")
    made.add_argument(
        "--benchmark", nargs="+", default=["all"], metavar="NAME", help=f"all (default) or of: {', '.join(BENCHMARKS)}"
    )
    add_source_options(made)
    made.add_argument(
        "--weights",
        default="auto",
        metavar="auto|mini|full|PATH|HUB-ID",
        help="auto (default) takes full weights only if they are on this machine and a GPU can hold them",
    )
    made.add_argument("--storage", default="sqlite:///himap.db", metavar="URL", help="default sqlite:///himap.db")
    _add_workers(made)
    made.add_argument(
        "--questions",
        type=int,
        default=120,
        help="validation questions per trial (default 120), fewer if there are no more",
    )
    made.add_argument(
        "--sampler",
        default="auto",
        help="auto (default: ehvi; for three objectives gp where trials cost far more than asks, else tpe), "
        "ehvi (asks where the front is expected to gain most), gp, tpe, nsga2, random",
    )
    made.add_argument(
        "--objectives",
        nargs="+",
        default=["accuracy", "flops"],
        metavar="NAME",
        help="accuracy with one or two of flops (default), paper_flops, latency",
    )
    made.add_argument("--max-drop", type=float, metavar="POINTS", help="accuracy that may be lost, in points")
    made.add_argument("--max-flops", type=float, metavar="PERCENT", help="true FLOPs, in percent of dense")
    made.add_argument("--max-latency", type=float, metavar="MS", help="milliseconds per prompt")
    made.add_argument(
        "--no-race",
        dest="race",
        action="store_false",
        help="answer all questions also where a configuration surely loses to one that costs no more",
    )
    made.add_argument("--seed", type=int, default=0, help="of the sampler and the random criterion (default 0)")
    made.add_argument("--presets", type=Path, default=Path("presets"), metavar="DIR", help="default presets/")
    made.add_argument("--json", type=Path, metavar="FILE", help="also write the result as JSON")
    return made


def _add_workers(made: argparse.ArgumentParser) -> None:
    """How many workers there are, where, and what each may use."""
    made.add_argument("--workers", type=int, help="evaluators (default: one per GPU, without one per core)")
    made.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="join the Ray cluster there instead of starting Ray on this machine; nodes may come and go",
    )
    made.add_argument(
        "--gpus-per-worker",
        type=float,
        metavar="N",
        help="GPUs of each worker, 0.5 for two workers on one (default 1 where there are GPUs)",
    )
    made.add_argument(
        "--prefix-mb",
        type=int,
        default=1024,
        metavar="MB",
        help="memory a worker may use for layers that many configurations share (default 1024, 0: none)",
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when every budget is spent, 2 for what cannot be done, 130 when the user stopped it."""
    options = parser().parse_args(arguments)
    try:
        from search.running.launch_run import run  # after parsing: torch and Ray take seconds to import

        return run(options)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; everything measured is stored, the same command goes on from here\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
