"""How soon a search finds the front: ours against Optuna's samplers and against a plain loop, replayed.

    python -m bench.search --json

The table (see `bench.search.tabulate`) holds an exhaustive grid of one embedded pair, so the true front is
known. Every search proposes from this grid. `ours` is the search as shipped; tpe, nsga2 and random are
Optuna's samplers on the same evaluator (batched, with kept layers), nothing else shared; `loop` is what one
would write without this project: TPE around the published evaluation (one question at a time on all cores,
eager attention, no KV cache, nothing shared). The rest is `ours` without one part, and the loop with one part
more; `loop with this engine` still asks one question at a time. Share is of the exhaustive grid's exact
hypervolume against FLOPs ratio 1 and accuracy 0; medians with quartiles over seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.search.racing import false_stops
from bench.search.replay import REFERENCE, Run, Way, exhaustive, nearest, replay
from bench.search.tabulate import DATA, Table, load_table, provenance
from objectives.errors import DataError
from objectives.flow import results
from objectives.flow.suggest import suggest

BUDGET = 200
OURS = Way()
SAME = Way(landmarks=False, race=False, dedup=False)
LOOP = Way("tpe", landmarks=False, prefix=False, race=False, dedup=False, evaluation="published")
WAYS: dict[str, Way] = {
    "ours": OURS,
    "tpe": replace(SAME, sampler="tpe"),
    "nsga2": replace(SAME, sampler="nsga2"),
    "random": replace(SAME, sampler="random"),
    "loop": LOOP,
    "ours without landmarks": replace(OURS, landmarks=False),
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
    "loop with landmarks": replace(LOOP, landmarks=True),
}
DEAR: dict[str, Way] = {"gp": replace(SAME, sampler="gp"), "ours, sampling by gp": replace(OURS, sampler="gp")}


def compare(table: Table, ways: dict[str, Way], seeds: int) -> dict[str, Any]:
    """Every way over all seeds, and how many times sooner than the loop it is."""
    runs = {name: [replay(table, way, seed, BUDGET) for seed in range(seeds)] for name, way in ways.items()}
    rows = {name: _row(each) for name, each in runs.items()}
    for row in rows.values():
        for share in ("95", "99"):
            mine, loop = row[f"seconds_to_{share}"]["median"], rows["loop"][f"seconds_to_{share}"]["median"]
            row[f"sooner_than_loop_to_{share}"] = _ratio(loop, mine)
    return rows


def head_starts(table: Table, flow: Path) -> dict[str, Way]:
    """Searches that first measure what a stored flow of the same weights and benchmark suggests.

    Raises:
        DataError: no stored flow.
        ValueError: it is not complete, or of another pair.
    """
    document = results.read(flow)
    pair = {name: table.meta[name] for name in ("weights_digest", "benchmark")}
    if not pair.items() <= document["key"].items():
        raise ValueError(f"got the flow of {document['key']}; expected that of the table's {pair}")
    first = tuple(dict.fromkeys(nearest(table, config) for config in suggest(document)))
    return {
        "ours with head start": replace(OURS, first=first),
        "ours without landmarks, with head start": replace(OURS, landmarks=False, first=first),
    }


def _ratio(loop: float | None, mine: float | None) -> float | None:
    """None where either never came there; a way that did is then sooner without bound."""
    return loop / mine if loop is not None and mine is not None else None


def _row(runs: list[Run]) -> dict[str, Any]:
    row: dict[str, Any] = {
        f"share_at_{trials}": _quartiles(run.share[min(trials, len(run.share)) - 1] for run in runs)
        for trials in (20, 50, 100)
    }
    row["share"] = _quartiles(run.share[-1] for run in runs)
    row |= {f"seconds_to_{s}": _quartiles(run.until(s / 100) for run in runs) for s in (95, 99)}
    row["seconds"] = _quartiles(run.seconds[-1] for run in runs)
    return row


def _quartiles(values: Iterable[float]) -> dict[str, float | None]:
    """None where a quartile lies among runs that never came there."""
    ordered = np.array(list(values), dtype=float)
    found = np.quantile(ordered, [0.25, 0.5, 0.75], method="higher")
    low, middle, high = (float(v) if np.isfinite(v) else None for v in found)
    return {"low": low, "median": middle, "high": high}


def document(table: Table, rows: dict[str, Any], seeds: int) -> dict[str, Any]:
    """The result with its provenance: of the table, and of the replay, whose asks are timed."""
    told = (
        "model",
        "benchmark",
        "n",
        "weights_digest",
        "device",
        "cores",
        "commit",
        "date",
        "costs",
        "cost_errors",
        "costs_measured",
    )
    return {
        "table": {name: table.meta.get(name) for name in told} | {"configurations": len(table.configs)},
        "replayed": provenance(torch.device("cpu")),
        "reference": REFERENCE,
        "exhaustive_hypervolume": exhaustive(table),
        "budget": BUDGET,
        "seeds": seeds,
        "false_stops": false_stops(table),
        "ways": rows,
    }


def _lines(found: dict[str, Any]) -> str:
    head = f"{'':26} share at 50 at the end  s to 95 %  s to 99 %  sooner than the loop (95 %, 99 %)"
    lines = [head]
    for name, row in found["ways"].items():
        cells = [row[k]["median"] for k in ("share_at_50", "share", "seconds_to_95", "seconds_to_99")]
        cells += [row["sooner_than_loop_to_95"], row["sooner_than_loop_to_99"]]
        shown = [f"{c:10.3f}" if c is not None else f"{'-':>10}" for c in cells]
        lines.append(f"{name:26}" + " ".join(shown))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--table", type=Path, default=DATA / "search.npz", help="made by bench.search.tabulate")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--flow", type=Path, metavar="FILE", help="by objectives.flow: also searches that start where it suggests"
    )
    parser.add_argument("--gp", action="store_true", help="also the Gaussian process, whose asks take minutes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if not options.table.exists():
        sys.stderr.write(f"error: there is no {options.table}; make it with python -m bench.search.tabulate\n")
        return 2
    table = load_table(options.table)
    try:
        starts = head_starts(table, options.flow) if options.flow else {}
    except (DataError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    ways = WAYS | (DEAR if options.gp else {}) | starts
    rows = compare(table, ways, options.seeds)
    found = document(table, rows, options.seeds)
    sys.stdout.write((json.dumps(found, indent=2) if options.json else _lines(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
