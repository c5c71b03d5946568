"""Measure how soon a search finds the front: ours against Optuna's samplers and a plain loop, replayed.

    python -m bench.search --json

The table of `bench.search.tabulate` holds an exhaustive grid of one embedded model and benchmark, so the true front is
known. Every search proposes from this grid. `ours` is the search as shipped; tpe, nsga2 and random are Optuna's
samplers on the same evaluator (batched, with its prefix cache), and share nothing else. `loop` is the plain script: TPE
around the published evaluation (one question at a time on all cores, eager attention, no KV cache, nothing shared). The
rest is `ours` without one part, and the loop with one part more; `loop with this engine` still asks one question at a
time. The share is of the exhaustive grid's exact hypervolume against FLOPs ratio 1 and accuracy 0; medians with
quartiles over seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import command
from bench.measuring import provenance
from bench.search.racing import false_stops
from bench.search.replay import Run, Variant, exhaustive, nearest, replay
from bench.search.tabulate import DATA, ScoreTable, load_table
from objectives.errors import DataError
from objectives.flow import results
from objectives.flow.suggest import suggest

BUDGET = 200
OURS = Variant()
SAME = Variant(baselines=False, race=False, dedup=False)
LOOP = Variant("tpe", baselines=False, prefix=False, race=False, dedup=False, evaluation="published")
VARIANTS: dict[str, Variant] = {
    "ours": OURS,
    "tpe": replace(SAME, sampler="tpe"),
    "nsga2": replace(SAME, sampler="nsga2"),
    "random": replace(SAME, sampler="random"),
    "loop": LOOP,
    "ours without baselines": replace(OURS, baselines=False),
    "ours without prefix": replace(OURS, prefix=False),
    "ours without race": replace(OURS, race=False),
    "ours without dedup": replace(OURS, dedup=False),
    "ours, sampling by tpe": replace(OURS, sampler="tpe"),
    "ours, sampling at random": replace(OURS, sampler="random"),
    "loop with this engine": replace(LOOP, evaluation="alone"),
    "loop with batches": replace(LOOP, evaluation="batched"),
    "loop with our sampler": replace(LOOP, sampler="ehvi"),
    "loop with race": replace(LOOP, race=True),
    "loop with dedup": replace(LOOP, dedup=True),
    "loop with baselines": replace(LOOP, baselines=True),
}
_ORIGIN = ("model", "benchmark", "n", "weights_digest", "device", "cores", "commit", "date")
_COSTS = ("costs", "cost_errors", "costs_measured")


def compare(table: ScoreTable, variants: dict[str, Variant], seeds: int) -> dict[str, Any]:
    """Replay every variant over all seeds, and return how many times sooner than the loop it is."""
    runs = {name: [replay(table, variant, seed, BUDGET) for seed in range(seeds)] for name, variant in variants.items()}
    rows = {name: _row(variant_runs) for name, variant_runs in runs.items()}
    for row in rows.values():
        for share in ("95", "99"):
            ours, loop = row[f"seconds_to_{share}"]["median"], rows["loop"][f"seconds_to_{share}"]["median"]
            both = ours is not None and loop is not None  # otherwise one never reached the share
            row[f"sooner_than_loop_to_{share}"] = loop / ours if both else None
    return rows


def head_starts(table: ScoreTable, flow: Path) -> dict[str, Variant]:
    """Return searches that first measure what a stored flow of the same weights and benchmark suggests.

    Raises:
        DataError: there is no stored flow.
        ValueError: it is not complete, or of another model or benchmark.
    """
    document = results.read(flow)
    pair = {name: table.meta[name] for name in ("weights_digest", "benchmark")}
    if not pair.items() <= document["key"].items():
        raise ValueError(f"got the flow of {document['key']}; expected that of the table's {pair}")
    first = tuple(dict.fromkeys(nearest(table, config) for config in suggest(document)))
    return {
        "ours with head start": replace(OURS, first=first),
        "ours without baselines, with head start": replace(OURS, baselines=False, first=first),
    }


def _row(runs: list[Run]) -> dict[str, Any]:
    row = {f"share_at_{n}": _quartiles(run.share[min(n, len(run.share)) - 1] for run in runs) for n in (20, 50, 100)}
    row["share"] = _quartiles(run.share[-1] for run in runs)
    row |= {f"seconds_to_{s}": _quartiles(run.until(s / 100) for run in runs) for s in (95, 99)}
    return {**row, "seconds": _quartiles(run.seconds[-1] for run in runs)}


def _quartiles(values: Iterable[float]) -> dict[str, float | None]:
    """Return the quartiles; None for one among runs that never reached the share."""
    quartiles = np.quantile(np.array(list(values), dtype=float), [0.25, 0.5, 0.75], method="higher")
    low, median, high = (float(v) if np.isfinite(v) else None for v in quartiles)
    return {"low": low, "median": median, "high": high}


def document(table: ScoreTable, rows: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Return the result with the provenance of the table, and of the replay, whose asks are timed."""
    return {
        "table": {name: table.meta.get(name) for name in (*_ORIGIN, *_COSTS)} | {"configurations": len(table.configs)},
        "replayed": provenance(),
        "reference": (1.0, 0.0),  # FLOPs ratio, accuracy
        "exhaustive_hypervolume": exhaustive(table),
        "budget": BUDGET,
        "seeds": seeds,
        "false_stops": false_stops(table),
        "variants": rows,
    }


def _report(result: dict[str, Any]) -> str:
    lines = [f"{'':26} share at 50 at the end  s to 95 %  s to 99 %  sooner than the loop (95 %, 99 %)"]
    for name, row in result["variants"].items():
        cells = [row[k]["median"] for k in ("share_at_50", "share", "seconds_to_95", "seconds_to_99")]
        cells += [row["sooner_than_loop_to_95"], row["sooner_than_loop_to_99"]]
        lines.append(f"{name:26}" + " ".join(f"{c:10.3f}" if c is not None else f"{'-':>10}" for c in cells))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison; exit code 2 with one line on stderr where the table or the flow is missing."""
    parser = command.parser("bench.search", __doc__)
    parser.add_argument("--table", type=Path, default=DATA / "search.npz", help="made by bench.search.tabulate")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--flow", type=Path, metavar="FILE", help="of objectives.flow: also searches that start from it"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if not options.table.exists():
        return command.fail(f"there is no {options.table}; make it with python -m bench.search.tabulate")
    table = load_table(options.table)
    try:
        starts = head_starts(table, options.flow) if options.flow else {}
    except (DataError, ValueError) as error:
        return command.fail(error)
    rows = compare(table, VARIANTS | starts, options.seeds)
    result = document(table, rows, options.seeds)
    command.show(result if options.json else _report(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
