"""Searches under fire: real launches whose processes are killed and whose database restarts.

    python -m bench.chaos --kills 50 --restarts 5 --json

Studies of `--budget` trials, one benchmark each, run one after the other on a PostgreSQL of their own. Kills
(SIGKILL for driver, worker or raylet) and restarts strike at random moments, drawn from `--seed`; a launch
that ended is started again with the same command. In the end every trial that was ever seen committed must be
there unchanged, none twice, exactly the budget; and each is measured again in one calm process, question by
question.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.chaos.check import calm_bench, checked, lost, trials_in
from bench.chaos.launch import Launch, Server, strike, waited
from objectives.benchmarks import BENCHMARKS
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.latency import device_name
from objectives.provenance import commit
from storage import Trial
from storage.records import utc_now

KILLED = ("driver", "worker", "raylet")
_QUIET = 600.0  # seconds without a trial after which a study counts as stuck
_DELAY = 2.0  # seconds at most between reaching a moment's trial and the strike


@dataclass
class Plan:
    """What befalls one study: (trials stored by then, victim), in order."""

    benchmark: str
    strikes: list[tuple[int, str]]


@dataclass
class Fate:
    """What befell it."""

    struck: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    starts: int = 0
    gave_up: int = 0
    seen: dict[int, Trial] = field(default_factory=dict)
    seconds: float = 0.0


def planned(kills: int, restarts: int, studies: int, budget: int, chance: random.Random) -> list[Plan]:
    """Kills and restarts spread over studies; the victims in equal parts, order and moments at random."""
    victims = [KILLED[i % len(KILLED)] for i in range(kills)] + ["postgresql"] * restarts
    chance.shuffle(victims)
    plans = []
    for i, benchmark in zip(range(studies), BENCHMARKS, strict=False):
        own = victims[i::studies]
        plans.append(Plan(benchmark, [(chance.randrange(budget * 9 // 10), victim) for victim in own]))
        plans[-1].strikes.sort(key=lambda strike: strike[0])
    return plans


def suffer(plan: Plan, options: argparse.Namespace, server: Server, folder: Path) -> Fate:
    """Runs one study to its budget through all of its strikes."""
    chance, fate, began = random.Random(f"{options.seed} {plan.benchmark}"), Fate(), time.monotonic()
    arguments = [
        "--model",
        options.model,
        "--benchmark",
        plan.benchmark,
        "--questions",
        str(options.questions),
        "--budget",
        str(options.budget),
        "--workers",
        str(options.workers),
        "--storage",
        server.url,
        "--seed",
        str(options.seed),
    ]
    launch = Launch(arguments, folder)
    try:
        for moment, victim in plan.strikes:
            _until(launch, fate, server, plan.benchmark, moment)
            time.sleep(chance.uniform(0, _DELAY))
            _strike(launch, victim, chance, server, fate)
            _look(fate, server, plan.benchmark)
            say(f"{plan.benchmark}: {victim} at {len(fate.seen)} trials")
        _until(launch, fate, server, plan.benchmark, options.budget)
        while waited(lambda: launch.ended() is not None, _QUIET) and launch.ended() != 0:
            _resume(launch, fate)
        _look(fate, server, plan.benchmark)
    finally:
        launch.close()
    fate.starts, fate.seconds = launch.starts, time.monotonic() - began
    return fate


def _strike(launch: Launch, victim: str, chance: random.Random, server: Server, fate: Fate) -> None:
    if victim == "postgresql":
        server.restart(chance.choice(["fast", "immediate"]))
    else:
        while not strike(launch, victim, chance):
            if launch.ended() == 0:  # the study was faster
                return
            _resume(launch, fate)
        if victim == "driver":
            launch.again()
    fate.struck[victim] += 1


def _until(launch: Launch, fate: Fate, server: Server, benchmark: str, trials: int) -> None:
    """Waits for so many trials; whatever was seen before must still be there."""
    deadline = time.monotonic() + _QUIET
    while len(fate.seen) < trials:
        before = len(fate.seen)
        _look(fate, server, benchmark)
        if len(fate.seen) > before:
            deadline = time.monotonic() + _QUIET
        if time.monotonic() > deadline:
            raise TimeoutError(f"{benchmark}: no trial within {_QUIET:.0f} s, after {len(fate.seen)}")
        if launch.ended() is not None and len(fate.seen) < trials:
            _resume(launch, fate)
        time.sleep(0.2)


def _resume(launch: Launch, fate: Fate) -> None:
    """It ended by itself, with a line that says why: the same command goes on."""
    fate.gave_up += 1
    launch.again()


def _look(fate: Fate, server: Server, benchmark: str) -> None:
    now = trials_in(server.url, benchmark)
    if now:  # a server that is restarting has nothing to read
        fate.lost += lost(fate.seen, now)
        fate.seen = now


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, in a temporary folder; what befell the studies and what was checked."""
    chance = random.Random(options.seed)
    plans = planned(options.kills, options.restarts, options.studies, options.budget, chance)
    studies = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = resolve(options.model, "auto").weights
        bench = calm_bench(source, options.questions)
        with Server(folder / "postgresql") as server:
            for plan in plans:
                fate = suffer(plan, options, server, folder)
                found = trials_in(server.url, plan.benchmark)
                said = checked(found, options.budget, bench, plan.benchmark)
                studies.append(
                    {
                        "benchmark": plan.benchmark,
                        "struck": dict(fate.struck),
                        "launches": fate.starts,
                        "gave_up": fate.gave_up,
                        "seconds": fate.seconds,
                        "lost_or_changed": fate.lost,
                        **said,
                    }
                )
                say(json.dumps(studies[-1]))
        device = device_name(bench.loaded.device)
    struck = sum((Counter(study["struck"]) for study in studies), Counter())
    return {
        "kills": sum(struck[victim] for victim in KILLED),
        "restarts": struck["postgresql"],
        "struck": dict(struck),
        "held": all(held(study) for study in studies),
        "studies": studies,
        "budget": options.budget,
        "questions": options.questions,
        "workers": options.workers,
        "seed": options.seed,
        "model": options.model,
        "device": device,
        "commit": commit(),
        "date": utc_now().isoformat(),
    }


def held(study: dict[str, Any]) -> bool:
    """Whether a study came through unharmed."""
    harm = ("lost_or_changed", "missing_numbers", "beyond_budget", "same_configuration_twice")
    return not any(study[name] for name in (*harm, "measured_differently", "failed"))


def say(line: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if everything held, else 1."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
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
    found = run(options)
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        said = "held" if found["held"] else "DID NOT HOLD"
        sys.stdout.write(f"{found['kills']} kills and {found['restarts']} restarts: {said}\n")
    return 0 if found["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
