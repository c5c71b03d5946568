"""Compare ways to a preset that keeps its margin: ours, the one before, and other samplers with Pareto Testing.

    python -m bench.certify --seeds 20 --keep runs.jsonl --write

A way spends about 200 x 120 answers on finding settings and then test questions on certifying them, within 0.5, 1 and
2 points at a level of 5 % for all together. The tables of `bench.certify.tabulate` are the populations that questions
are drawn from, so that the true loss of each setting is known exactly, see `bench.certify.population`. The honest cost
is the share of FLOPs of what a way delivers, or 100 % where that loses more than its margin, or is dense.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import command
from bench.certify.population import LEVEL, MARGINS, POOL, TablePopulation
from bench.certify.tabulate import load_table
from bench.certify.ways import WAYS
from bench.docs import pages
from bench.measuring import provenance
from minis.tables import markdown
from objectives.provenance import commit
from storage.confirmation import points

DATA = Path(__file__).parents[1] / "data"
TABLES = ("certify-qwenvl", "certify-llava-7b")
_DRAWS, _FEW = 2_000, 10  # of the bootstrap over seeds; seeds, below which an interval says nothing
Run = dict[str, Any]


def run(population: TablePopulation, table: str, way: str, seed: int) -> Run:
    """Return the figures of one run, as they are kept."""
    result = WAYS[way](population, seed)
    rows = {margin: result.delivered[margin] for margin in MARGINS}
    wrong = [m for m in result.certified if (row := rows[m]) is not None and population.losses[row] > m + 1e-12]
    return {
        "table": table,
        "way": way,
        "seed": seed,
        "cost": [population.honest_cost(rows[margin], margin) for margin in MARGINS],
        "certified": len(result.certified) / len(MARGINS),
        "wrong": bool(wrong),
        "answers": result.answers,
        "seconds": result.seconds,
        "hypervolume": population.hypervolume(result.front),
        "commit": commit(),
    }


def missing_runs(path: Path | None, ways: Sequence[str], seeds: int) -> list[Run]:
    """Make all runs that the file does not hold, each kept at once, and return all that it holds then."""
    lines = path.read_text().splitlines() if path and path.exists() else []
    kept = {(one["table"], one["way"], one["seed"]): one for one in map(json.loads, lines)}
    populations = {table: TablePopulation(load_table(DATA / f"{table}.npz")) for table in TABLES}
    for key in ((table, way, seed) for seed in range(seeds) for table in TABLES for way in ways):
        if key not in kept:
            table, way, seed = key
            kept[key] = run(populations[table], table, way, seed)
            if path:
                with path.open("a") as file:
                    file.write(json.dumps(kept[key]) + "\n")
    return [kept[key] for key in sorted(kept, key=lambda key: (list(WAYS).index(key[1]), key[2]))]


def document(runs: Sequence[Run]) -> dict[str, Any]:
    """Return means, and paired differences to ours with 95 % bootstrap intervals over seeds."""
    tables: dict[str, Any] = {}
    commits = ", ".join(sorted({one["commit"] for one in runs}))
    for name in TABLES:
        table = load_table(DATA / f"{name}.npz")
        population = TablePopulation(table)
        by_way: dict[str, list[Run]] = {}
        for one in runs:
            if one["table"] == name:
                by_way.setdefault(one["way"], []).append(one)
        tables[name] = {
            "configurations": len(table.configs),
            "questions": table.scores.shape[1],
            "made": {key: table.meta[key] for key in ("model", "benchmark", "weights_digest", "device", "commit")},
            "oracle": [population.oracle(margin) for margin in MARGINS],
            "certifiable": [population.certifiable(margin) for margin in MARGINS],
            "ways": {way: _figures(own, by_way["ours"]) for way, own in by_way.items()},
        }
    return {"margins": MARGINS, "level": LEVEL, "pool": POOL, "tables": tables, **provenance(), "commit": commits}


def _figures(own: Sequence[Run], ours: Sequence[Run]) -> dict[str, Any]:
    rng, costs = np.random.default_rng(0), {one["seed"]: one["cost"] for one in ours}
    difference = np.array([np.subtract(one["cost"], costs[one["seed"]]) for one in own])
    drawn = difference[rng.integers(0, len(difference), (_DRAWS, len(difference)))].mean(1)
    return {
        "seeds": len(own),
        "cost": np.mean([one["cost"] for one in own], 0).tolist(),
        "to_ours": difference.mean(0).tolist(),
        "to_ours_interval": np.quantile(drawn, [0.025, 0.975], axis=0).T.tolist(),
        **{name: float(np.mean([one[name] for one in own])) for name in ("certified", "wrong", "answers", "seconds")},
        "hypervolume": float(np.mean([one["hypervolume"] for one in own])),
    }


def report(result: dict[str, Any]) -> str:
    """Return a table for each population."""
    head = ["way", *(f"within {points(margin)}, % of FLOPs" for margin in MARGINS), "to ours within 1 point"]
    head += ["certified, %", "wrong, % of runs", "answers", "seconds", "hypervolume", "seeds"]
    parts = []
    for table in result["tables"].values():
        best = {"the best there is": table["oracle"], "the best that is certified 4 times in 5": table["certifiable"]}
        ideal = [[name, *(f"{100 * cost:.0f}" for cost in costs), *[""] * 7] for name, costs in best.items()]
        rows = [_row(way, figures) for way, figures in table["ways"].items()]
        made = table["made"]
        parts += [
            f"**{made['model']} on {made['benchmark']}**: {table['configurations']} configurations, "
            f"{table['questions']} questions ({made['device']}, commit {made['commit']}).",
            "",
            markdown(head, [*ideal, *rows]),
            "",
        ]
    parts.append(
        "Differences are paired by seed, with 95 % bootstrap intervals; seconds are of one core, without the answers; "
        f"replayed at commit {result['commit']} on {result['device']}."
    )
    return "\n".join(parts)


def _row(way: str, figures: dict[str, Any]) -> list[str]:
    low, high = figures["to_ours_interval"][1]
    difference = f"{100 * figures['to_ours'][1]:+.0f}"
    if figures["seeds"] >= _FEW:
        difference += f" [{100 * low:+.0f}, {100 * high:+.0f}]"
    return [
        way,
        *(f"{100 * cost:.0f}" for cost in figures["cost"]),
        "" if way == "ours" else difference,
        f"{100 * figures['certified']:.0f}",
        f"{100 * figures['wrong']:.0f}",
        f"{figures['answers']:,.0f}",
        f"{figures['seconds']:,.0f}",
        f"{figures['hypervolume']:.2f}",
        str(figures["seeds"]),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison."""
    parser = command.parser("bench.certify", __doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), metavar="WAY")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep each run there, and resume from it")
    parser.add_argument("--write", action="store_true", help="put the tables in docs/results/certified.md")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    ways = list(dict.fromkeys(["ours", *options.ways]))
    result = document(missing_runs(options.keep, ways, options.seeds))
    if options.write:
        pages.write("certified", ways=report(result))
    command.show(result if options.json else report(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
