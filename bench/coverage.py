"""How often the truth lies inside an exported interval: of validation estimates, and of confirmed ones.

    python -m bench.coverage --storage sqlite:///himap.db

Repeats the end of a search a thousand times. The questions stored for a study's trials stand for all
questions: a configuration's true accuracy is its mean over all of them. Each time, validation questions are
drawn anew (with replacement, as many as the study asked), the front is formed and its places are picked as an
export picks them; then test questions are drawn, and the winners are confirmed on them. Counted is how often
the true accuracy, and the true difference to dense, lie inside the interval.

Without --storage the table is made up: 200 configurations between 30 and 90 % of dense's FLOPs that lose
little, on 20,000 questions of unequal difficulty, once right-or-wrong and once with credits of 0, 0.3, 0.6,
0.9 and 1 as in VQAv2. Exit code 1 if a confirmed interval holds less often than 95 %, less the simulation's
own error (two standard errors).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from himap import PruningConfig
from objectives.statistics.estimates import Interval, paired_difference, wilson
from objectives.statistics.intervals import accuracy_interval, difference_interval
from storage import StorageError, Trial, open_store
from storage.pareto import front, operating_points

LEVEL = 0.95
_CREDITS = np.array([0.0, 0.3, 0.6, 0.9, 1.0])


@dataclass(frozen=True)
class Table:
    """`scores` (configurations, questions) in [0, 1], dense first; `flops` (configurations,) of dense."""

    name: str
    scores: np.ndarray
    flops: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """(configurations,) mean scores over all questions."""
        means: np.ndarray = self.scores.mean(1)
        return means


def made_up(seed: int = 0, *, graded: bool = False, configs: int = 200, questions: int = 20_000) -> Table:
    """Dense, and configurations that change one answer in fifty to one in seven, mostly to the worse."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(size=questions)
    dense = difficulty + 0.3 * rng.normal(size=questions) < 1.0
    flops = np.concatenate([[1.0], np.sort(rng.uniform(0.3, 0.9, configs - 1))])
    rows = [dense]
    for ratio in flops[1:]:
        changed = rng.random(questions) < 0.02 + 0.12 * (0.9 - ratio) / 0.6 * rng.uniform(0.3, 1)
        rows.append(np.where(changed, difficulty + rng.normal(size=questions) < 0.4, dense))
    scores = np.array(rows, dtype=float)
    if graded:  # how many of ten people said it: the more difficult, the less agreed
        agreed = np.clip(3.5 - difficulty + rng.normal(size=questions), 0, 4).astype(int)
        scores = scores * _CREDITS[agreed] + (1 - scores) * _CREDITS[(agreed < 1).astype(int)]
    return Table("made up, " + ("credits" if graded else "right or wrong"), scores, flops)


def stored(location: str) -> list[Table]:
    """One table a study: its complete trials with all their scores, dense first."""
    found = []
    with open_store(location, readonly=True) as store:
        for summary in store.studies():
            trials = [t for t in store.trials(summary.id) if t.complete and len(t.scores) == t.n > 0]
            trials.sort(key=lambda t: (t.origin != "dense", t.number))
            if trials and trials[0].origin == "dense":
                scores = np.array([t.scores for t in trials if len(t.scores) == len(trials[0].scores)])
                flops = np.array([t.flops for t in trials if len(t.scores) == len(trials[0].scores)])
                found.append(Table(f"{summary.key.model}/{summary.key.benchmark}", scores, flops))
    return found


def simulate(table: Table, repeats: int, validation: int, test: int, seed: int = 0) -> dict[str, float]:
    """Shares of exported winners whose truth lies inside their interval, and mean errors in points.

    Each repetition counts once, whatever the number of its different winners.
    """
    rng = np.random.default_rng(seed)
    questions, truth = table.scores.shape[1], table.truth
    totals: dict[str, float] = defaultdict(float)
    done = 0
    for _ in range(repeats):
        seen = rng.integers(questions, size=validation)
        winners = _winners(table, table.scores[:, seen].mean(1))
        if not winners:
            continue
        done += 1
        unseen = rng.integers(questions, size=test)
        for winner in winners:
            for name, value in _outcome(table, winner, seen, unseen, truth).items():
                totals[name] += value / len(winners)
    return {"repeats": done, **{name: total / max(done, 1) for name, total in totals.items()}}


def _winners(table: Table, means: np.ndarray) -> list[int]:
    """Rows that an export would confirm, each once."""
    trials = [
        Trial(
            i,
            "complete",
            "sampler" if i else "dense",
            PruningConfig(1, 0, 2, 0),
            flops=float(cost),
            accuracy=float(mean),
        )
        for i, (cost, mean) in enumerate(zip(table.flops, means, strict=True))
    ]
    return sorted({trial.number for _, trial in operating_points(front(trials), trials[0])})


def _outcome(table: Table, winner: int, seen: np.ndarray, unseen: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    own, dense = table.scores[winner], table.scores[0]
    change = truth[winner] - truth[0]
    estimate = wilson(float(own[seen].mean()), len(seen))
    estimated_change = paired_difference(own[seen], dense[seen])
    confirmed = accuracy_interval(own[unseen])
    confirmed_change = difference_interval(own[unseen], dense[unseen])
    return {
        "validation_accuracy": _inside(truth[winner], estimate),
        "validation_difference": _inside(change, estimated_change),
        "confirmed_accuracy": _inside(truth[winner], confirmed),
        "confirmed_difference": _inside(change, confirmed_change),
        "validation_flattery_points": 100 * (estimated_change.mean - change),
        "confirmed_flattery_points": 100 * (confirmed_change.mean - change),
        "confirmed_width_points": 100 * (confirmed_change.high - confirmed_change.low),
    }


def _inside(value: float, interval: Interval) -> float:
    return float(interval.low - 1e-12 <= value <= interval.high + 1e-12)


def holds(row: dict[str, Any]) -> bool:
    """Whether the confirmed intervals hold as often as they say, up to the simulation's error."""
    slack = 2 * math.sqrt(LEVEL * (1 - LEVEL) / max(row["repeats"], 1))
    return all(row[f"confirmed_{what}"] >= LEVEL - slack for what in ("accuracy", "difference"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.coverage", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--storage", metavar="URL", help="take the tables from this store's studies")
    parser.add_argument("--repeats", type=int, default=1000, help="repeated searches (default 1000)")
    parser.add_argument("--validation", type=int, default=120, help="validation questions (default 120)")
    parser.add_argument("--test", type=int, default=500, help="test questions (default 500)")
    options = parser.parse_args(arguments)
    if min(options.repeats, options.validation, options.test) < 1:
        parser.error("--repeats, --validation and --test must be at least 1")
    try:
        tables = stored(options.storage) if options.storage else [made_up(), made_up(graded=True)]
    except StorageError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    rows = []
    for table in tables:
        row = simulate(table, options.repeats, options.validation, options.test)
        size = {"configurations": table.scores.shape[0], "questions": table.scores.shape[1]}
        rows.append({"table": table.name, **size, **{name: round(value, 4) for name, value in row.items()}})
    sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    return 0 if rows and all(holds(row) for row in rows if row["repeats"]) else 1


if __name__ == "__main__":
    sys.exit(main())
