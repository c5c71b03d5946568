"""Inject faults into real launches: kill their processes and restart their database, then check every trial.

    python -m bench.chaos --kills 50 --restarts 5 --json

Studies of `--budget` trials, one benchmark each, run one after the other on their own PostgreSQL. Kills (SIGKILL of
driver, worker or raylet) and restarts come at random moments, drawn from `--seed`; a launch that ended is started
again with the same command. At the end every trial that was ever seen committed must be there unchanged, none
twice, exactly the budget. One calm process measures each again, question by question.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import command
from bench.chaos.check import calm_runner, checked, lost, trials_in
from bench.chaos.launch import SearchProcess, kill_one, wait_for
from bench.measuring import provenance
from bench.postgres import PostgresServer
from objectives.benchmarks import BENCHMARKS
from objectives.evaluation.checkpoints import resolve
from objectives.json_files import json_text
from storage import Trial

KILLED = ("driver", "worker", "raylet")
_QUIET = 600.0  # seconds without a trial after which a study counts as stuck
_DELAY = 2.0  # seconds at most between reaching a moment's trial and the fault


@dataclass
class FaultPlan:
    """The faults of one study, in order: how many trials are stored by then, and the target."""

    benchmark: str
    faults: list[tuple[int, str]]


@dataclass
class FaultyStudy:
    """One study under faults, and what happened to it."""

    benchmark: str
    launch: SearchProcess
    server: PostgresServer
    rng: random.Random
    faults: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    gave_up: int = 0
    seen: dict[int, Trial] = field(default_factory=dict)

    def run(self, plan: FaultPlan, budget: int) -> None:
        """Run the study to its budget through all of its faults."""
        for trials, target in plan.faults:
            self._wait_until(trials)
            time.sleep(self.rng.uniform(0, _DELAY))
            self._inject(target)
            self._look()
            progress(f"{self.benchmark}: {target} at {len(self.seen)} trials")
        self._wait_until(budget)
        while wait_for(lambda: self.launch.exit_code() is not None, _QUIET) and self.launch.exit_code() != 0:
            self._resume()
        self._look()

    def _inject(self, target: str) -> None:
        if target == "postgresql":
            self.server.restart(self.rng.choice(["fast", "immediate"]))
        else:
            while not kill_one(self.launch, target, self.rng):
                if self.launch.exit_code() == 0:  # the study ended first
                    return
                self._resume()
            if target == "driver":
                self.launch.start_again()
        self.faults[target] += 1

    def _wait_until(self, trials: int) -> None:
        """Wait for so many trials; count those that were seen before and are gone or changed."""
        deadline = time.monotonic() + _QUIET
        while len(self.seen) < trials:
            before = len(self.seen)
            self._look()
            if len(self.seen) > before:
                deadline = time.monotonic() + _QUIET
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.benchmark}: no trial within {_QUIET:.0f} s, after {len(self.seen)}")
            if self.launch.exit_code() is not None and len(self.seen) < trials:
                self._resume()
            time.sleep(0.2)

    def _resume(self) -> None:
        """Run the same command again after the launch gave up."""
        self.gave_up += 1
        self.launch.start_again()

    def _look(self) -> None:
        now = trials_in(self.server.url, self.benchmark)
        if now:  # nothing can be read while the server restarts
            self.lost += lost(self.seen, now)
            self.seen = now


def planned(kills: int, restarts: int, studies: int, budget: int, rng: random.Random) -> list[FaultPlan]:
    """Return kills and restarts spread over studies: targets in equal parts, order and moments at random."""
    targets = [KILLED[i % len(KILLED)] for i in range(kills)] + ["postgresql"] * restarts
    rng.shuffle(targets)
    plans = []
    for i, benchmark in zip(range(studies), BENCHMARKS, strict=False):
        faults = [(rng.randrange(budget * 9 // 10), target) for target in targets[i::studies]]
        plans.append(FaultPlan(benchmark, sorted(faults, key=lambda fault: fault[0])))
    return plans


def run_study(plan: FaultPlan, options: argparse.Namespace, server: PostgresServer, folder: Path) -> dict[str, Any]:
    """Run one study through its faults and return what happened to it, and its trials."""
    values = {name: getattr(options, name) for name in ("model", "questions", "budget", "workers", "seed")}
    values |= {"benchmark": plan.benchmark, "storage": server.url, "sampler": "tpe"}  # it always spends the budget
    began = time.monotonic()
    launch = SearchProcess([part for name, value in values.items() for part in (f"--{name}", str(value))], folder)
    study = FaultyStudy(plan.benchmark, launch, server, random.Random(f"{options.seed} {plan.benchmark}"))
    try:
        study.run(plan, options.budget)
    finally:
        launch.close()
    return {
        "benchmark": plan.benchmark,
        "faults": dict(study.faults),
        "launches": launch.starts,
        "gave_up": study.gave_up,
        "seconds": time.monotonic() - began,
        "lost_or_changed": study.lost,
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run and check all studies in a temporary folder."""
    plans = planned(options.kills, options.restarts, options.studies, options.budget, random.Random(options.seed))
    studies = []
    with tempfile.TemporaryDirectory() as name:
        runner = calm_runner(resolve(options.model, "auto").weights, options.questions)
        with PostgresServer(Path(name, "postgresql")) as server:
            for plan in plans:
                study = run_study(plan, options, server, Path(name))
                trials = trials_in(server.url, plan.benchmark)
                studies.append(study | checked(trials, options.budget, runner, plan.benchmark))
                progress(json_text(studies[-1]))
    faults = sum((Counter(study["faults"]) for study in studies), Counter())
    settings = ("budget", "questions", "workers", "seed", "model")
    return {
        "kills": sum(faults[target] for target in KILLED),
        "restarts": faults["postgresql"],
        "faults": dict(faults),
        "passed": all(passed(study) for study in studies),
        "studies": studies,
        **{name: getattr(options, name) for name in settings},
        **provenance(runner.loaded.device),
    }


def passed(study: dict[str, Any]) -> bool:
    """Return whether a study is complete and correct."""
    counts = ("lost_or_changed", "missing_numbers", "beyond_budget", "same_configuration_twice")
    return not any(study[name] for name in (*counts, "measured_differently", "failed"))


def progress(line: str) -> None:
    """Print a line of progress on stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main(arguments: list[str] | None = None) -> int:
    """Print the result; exit code 1 if a study lost or changed anything."""
    parser = command.parser("bench.chaos", __doc__)
    parser.add_argument("--model", default="qwenvl")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--restarts", type=int, default=5, help="of PostgreSQL")
    parser.add_argument("--studies", type=int, default=5, help="at most one a benchmark")
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    result = run(options)
    verdict = "passed" if result["passed"] else "FAILED"
    command.show(result if options.json else f"{result['kills']} kills and {result['restarts']} restarts: {verdict}")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
