"""Search the pruning settings of a model on benchmarks: Pareto fronts, certified presets, a store for the dashboard.

    python -m search.launch --model qwenvl --budget 200

First the search explores: 30 % of the budget are trials. Then it asks the best settings further questions. Then it
certifies, on questions that it never saw, the cheapest setting within each margin (--margins). Its last lines say
what to deploy: share of FLOPs, speed-up, and the loss that the test rules out. --no-certify writes estimates.

Every finished trial and every answer is in the store before it counts. You can stop a search at any time; run the
same command again to resume. Once the budget is spent it does nothing.

--model takes qwenvl, llava-7b, llava-13b (the paper's three), or a folder or hub id of any supported checkpoint.
On a machine without the full weights, or without a GPU to hold them, the first three run on small embedded models
of the same architecture, and the first lines say so.

Questions are about embedded scenes; with --data they are your own, with --data-root or --hub a benchmark's
official ones. The search explores and refines on their validation part, and certifies on their test part.

    python -m search.launch --model qwenvl --data questions.jsonl --metric vqa_accuracy --budget 200
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from objectives.benchmarks import BENCHMARKS
from objectives.evaluation.known_models import check_named
from objectives.options import (
    add_json_option,
    add_model_options,
    add_source_options,
    check_json,
    command_parser,
    write_json,
)
from search.cli import (
    add_certify_options,
    add_goal_options,
    add_latency_option,
    add_storage_option,
    add_worker_options,
    run_search_command,
)
from search.command_line import words
from search.errors import StudyFailedError
from search.inputs.limits import QUESTIONS

STOPPED = "stopped; everything measured is stored; run the same command again to resume"

if TYPE_CHECKING:
    from search.config import SearchConfig


def parser() -> argparse.ArgumentParser:
    """Return the parser; its options are the fields of `search.SearchConfig`, which has the defaults, and --json."""
    parser = command_parser("search.launch", __doc__)
    add_launch_options(parser)
    parser.add_argument(
        "--dry-run",
        nargs="?",
        const="here",
        metavar="DEVICE",
        help="only say what the search will need of memory and hours, here or on h100, a100-80, rtx4090 and others; "
        "reads no weights, changes no store",
    )
    parser.add_argument(
        "--share",
        type=float,
        metavar="PERCENT",
        help="of the device's peak that --dry-run takes the model to reach (default 40)",
    )
    add_json_option(parser)
    return parser


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    """Add the fields of `search.SearchConfig`; those that are not given are left out."""
    parser.argument_default = argparse.SUPPRESS
    add_model_options(parser)
    parser.add_argument(
        "--budget",
        required=True,
        type=int,
        help="trials a study, for example 200: 30 %% explore, the answers of the rest refine the best",
    )
    parser.add_argument(
        "--benchmark",
        dest="benchmarks",
        nargs="+",
        metavar="NAME",
        help=f"all (default) or of: {', '.join(BENCHMARKS)}",
    )
    add_source_options(parser)
    add_storage_option(parser)
    add_worker_options(parser)
    parser.add_argument(
        "--memory-mb",
        type=int,
        metavar="MB",
        help="memory a worker may use for images and layers that many configurations share (default 1024, 0: none); on "
        "a GPU as much of the CPU's besides",
    )
    _add_search_options(parser)
    parser.add_argument(
        "--no-certify",
        dest="certify",
        action="store_false",
        help="spend the whole budget on trials, and write estimates",
    )
    add_certify_options(parser)
    add_latency_option(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="of the sampler and the random criterion (default 0)")
    parser.add_argument("--presets", metavar="DIR", help="where presets go (default presets/)")


def _add_search_options(parser: argparse.ArgumentParser) -> None:
    """Add how trials are chosen and measured."""
    parser.add_argument(
        "--questions",
        type=int,
        metavar="N",
        help=f"validation questions a trial (default {QUESTIONS}), fewer if there are no more",
    )
    parser.add_argument(
        "--sampler",
        metavar="NAME",
        help="auto (default: ehvi; for three objectives gp where trials cost far more than asks, else tpe), "
        "ehvi (asks where the front is expected to gain most), gp, tpe, nsga2, random",
    )
    add_goal_options(parser)
    parser.add_argument(
        "--reference",
        type=float,
        metavar="POINTS",
        help="accuracy below dense, in points, from which on the search looks for gains (default 15)",
    )
    parser.add_argument(
        "--no-race",
        dest="race",
        action="store_false",
        help="answer all questions also where a configuration loses, with 95 %% confidence, to one that costs no more",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0 when every budget is spent, 2 for an error, 130, 143 or 129 when stopped."""
    options = config_values(parser().parse_args(words(arguments)))
    json_path = str(options.pop("json", None) or "") or None
    device, share = options.pop("dry_run", None), options.pop("share", None)

    def run() -> int:
        from search.config import SearchConfig
        from search.errors import UsageError

        if share is not None and device is None:
            raise UsageError("got --share; expected it with --dry-run, whose estimate it changes")
        config = SearchConfig(**options)
        return search(config, json_path) if device is None else show_estimate(config, str(device), share, json_path)

    return run_search_command(run, STOPPED)


def config_values(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options as a `SearchConfig` takes them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}


def show_estimate(config: SearchConfig, device: str, share: Any, json_path: str | None = None) -> int:
    """Print what a search will need; return 0.

    Args:
        device: see `search.running.dry_run.dry_run`.
        share: percent of the device's peak; None for the default.

    Raises:
        SearchError, ObjectiveError: as `dry_run`.
    """
    from search.estimating.text import document, lines  # after parsing: torch takes seconds to import
    from search.running.dry_run import SHARE, dry_run

    check_json(json_path)
    estimate, opening = dry_run(config, device, SHARE if share is None else share / 100)
    write_json(json_path, document(estimate), "\n".join([*opening, *lines(estimate)]) + "\n")
    return 0


def search(config: SearchConfig, json_path: str | None = None) -> int:
    """Carry a search out on the console; return 0, or 130, 143 or 129 when stopped.

    Raises:
        StudyFailedError: a study was abandoned; the others are done.
        SearchError, ObjectiveError, StorageError: as `search.run`.
    """
    check_json(json_path)
    check_named(config.model, config.weights)
    from search import run  # after what can be refused at once: torch and Ray take seconds to import
    from search.reporting.console import SearchConsole
    from search.reporting.report import document

    with SearchConsole(stderr=json_path == "-") as console:
        result = run(config, console)
    console.conclude(config, result)
    write_json(json_path, document(result))
    if abandoned := [study.message for study in result.studies if study.abandoned]:
        raise StudyFailedError("; ".join(abandoned))
    return 128 + console.signum if result.stopped else 0


if __name__ == "__main__":
    sys.exit(main())
