"""Measure how often the true accuracy is inside an exported interval, of estimates and of confirmations.

    python -m bench.coverage --storage sqlite:///himap.db

It repeats the end of a search a thousand times. The questions stored for a study's trials are the population: a
configuration's true accuracy is its mean over all of them. Each repetition draws validation questions with
replacement, forms the front and picks its operating points as an export does. It then draws test questions and
measures the picked configurations on them. The figures are how often the true accuracy, and the true difference
to dense, are inside the interval.

Without --storage the table is generated: 200 configurations between 30 and 90 % of dense's FLOPs that lose little,
on 20,000 questions of unequal difficulty, once right-or-wrong and once with credits of 0, 0.3, 0.6, 0.9 and 1 as in
VQAv2. Exit code 1 if a confirmed interval holds less often than 95 %, less two standard errors of the simulation.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import command
from himap import PruningConfig
from objectives.statistics.estimates import Interval, paired_difference, wilson
from objectives.statistics.intervals import accuracy_interval, difference_interval
from search.inputs.limits import QUESTIONS
from storage import StorageError, Trial, open_store
from storage.pareto import front, operating_points

LEVEL = 0.95
_CREDITS = np.array([0.0, 0.3, 0.6, 0.9, 1.0])


@dataclass(frozen=True)
class Population:
    """`scores` (configurations, questions) in [0, 1], dense first; `flops` (configurations,) relative to dense."""

    name: str
    scores: np.ndarray
    flops: np.ndarray


def generated(seed: int = 0, *, graded: bool = False, configs: int = 200, questions: int = 20_000) -> Population:
    """Return dense, and configurations that change one answer in fifty to one in seven, mostly for the worse."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(size=questions)
    dense = difficulty + 0.3 * rng.normal(size=questions) < 1.0
    flops = np.concatenate([[1.0], np.sort(rng.uniform(0.3, 0.9, configs - 1))])
    rows = [dense]
    for ratio in flops[1:]:
        changed = rng.random(questions) < 0.02 + 0.12 * (0.9 - ratio) / 0.6 * rng.uniform(0.3, 1)
        rows.append(np.where(changed, difficulty + rng.normal(size=questions) < 0.4, dense))
    scores = np.array(rows, dtype=float)
    if graded:  # as if ten people had answered: the more difficult a question, the fewer agree
        agreed = np.clip(3.5 - difficulty + rng.normal(size=questions), 0, 4).astype(int)
        scores = scores * _CREDITS[agreed] + (1 - scores) * _CREDITS[(agreed < 1).astype(int)]
    return Population("generated, " + ("credits" if graded else "right or wrong"), scores, flops)


def stored(location: str) -> list[Population]:
    """Return one population a study: its complete trials with all their scores, dense first."""
    populations = []
    with open_store(location, readonly=True) as store:
        for summary in store.studies():
            trials = [t for t in store.trials(summary.id) if t.complete and len(t.scores) == t.n > 0]
            trials.sort(key=lambda t: (t.origin != "dense", t.number))
            if trials and trials[0].origin == "dense":
                trials = [t for t in trials if t.n == trials[0].n]
                scores, flops = np.array([t.scores for t in trials]), np.array([t.flops for t in trials])
                populations.append(Population(f"{summary.key.model}/{summary.key.benchmark}", scores, flops))
    return populations


def simulate(population: Population, repeats: int, validation: int, test: int, seed: int = 0) -> dict[str, float]:
    """Return the shares of picked configurations whose true value is inside their interval, and mean errors.

    Each repetition counts once, whatever the number of configurations it picks. Errors are in points.
    """
    rng = np.random.default_rng(seed)
    questions = population.scores.shape[1]
    totals: dict[str, float] = defaultdict(float)
    done = 0
    for _ in range(repeats):
        drawn = rng.integers(questions, size=validation)
        picked = _picked(population, population.scores[:, drawn].mean(1))
        if not picked:
            continue
        done += 1
        held_out = rng.integers(questions, size=test)
        for row in picked:
            for name, value in _outcome(population, row, drawn, held_out).items():
                totals[name] += value / len(picked)
    return {"repeats": done, **{name: total / max(done, 1) for name, total in totals.items()}}


def _picked(population: Population, means: np.ndarray) -> list[int]:
    """Return the rows that an export would measure, each once."""
    config = PruningConfig.dense()  # only FLOPs and accuracy matter here
    trials = [
        Trial(i, "complete", "sampler" if i else "dense", config, flops=float(cost), accuracy=float(mean))
        for i, (cost, mean) in enumerate(zip(population.flops, means, strict=True))
    ]
    return sorted({trial.number for _, trial in operating_points(front(trials), trials[0])})


def _outcome(population: Population, row: int, drawn: np.ndarray, held_out: np.ndarray) -> dict[str, float]:
    own, dense = population.scores[row], population.scores[0]
    truth, change = own.mean(), own.mean() - dense.mean()
    estimated_change = paired_difference(own[drawn], dense[drawn])
    confirmed_change = difference_interval(own[held_out], dense[held_out])
    return {
        "validation_accuracy": _inside(truth, wilson(float(own[drawn].mean()), len(drawn))),
        "validation_difference": _inside(change, estimated_change),
        "confirmed_accuracy": _inside(truth, accuracy_interval(own[held_out])),
        "confirmed_difference": _inside(change, confirmed_change),
        "validation_flattery_points": 100 * (estimated_change.mean - change),
        "confirmed_flattery_points": 100 * (confirmed_change.mean - change),
        "confirmed_width_points": 100 * (confirmed_change.high - confirmed_change.low),
    }


def _inside(value: float, interval: Interval) -> float:
    return float(interval.low - 1e-12 <= value <= interval.high + 1e-12)


def holds(row: dict[str, Any]) -> bool:
    """Return whether the confirmed intervals hold as often as they state, up to the simulation's error."""
    slack = 2 * math.sqrt(LEVEL * (1 - LEVEL) / max(row["repeats"], 1))
    return all(row[f"confirmed_{what}"] >= LEVEL - slack for what in ("accuracy", "difference"))


def main(arguments: list[str] | None = None) -> int:
    """Print a row a table as JSON; exit code 2 where there is no store."""
    parser = command.parser("bench.coverage", __doc__)
    parser.add_argument("--storage", metavar="URL", help="take the tables from this store's studies")
    parser.add_argument("--repeats", type=int, default=1000, help="repeated searches (default 1000)")
    parser.add_argument("--validation", type=int, default=QUESTIONS, help=f"validation questions (default {QUESTIONS})")
    parser.add_argument("--test", type=int, default=500, help="test questions (default 500)")
    options = parser.parse_args(arguments)
    if min(options.repeats, options.validation, options.test) < 1:
        parser.error("--repeats, --validation and --test must be at least 1")
    try:
        populations = stored(options.storage) if options.storage else [generated(), generated(graded=True)]
    except StorageError as error:
        return command.fail(error)
    rows = []
    for population in populations:
        row = simulate(population, options.repeats, options.validation, options.test)
        size = {"configurations": population.scores.shape[0], "questions": population.scores.shape[1]}
        rows.append({"table": population.name, **size, **{name: round(value, 4) for name, value in row.items()}})
    command.show(rows)
    return 0 if rows and all(holds(row) for row in rows if row["repeats"]) else 1


if __name__ == "__main__":
    sys.exit(main())
