"""Rewrites the README's tables from what was measured.

    python -m bench.docs.results --storage sqlite:///himap.db --presets presets/

The minis' table comes from their evaluation.json, the search's from the store, the confirmed one from the
presets that `search.export` wrote. A table stands between two
comments that name it; everything else in the README stays.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import himap
from bench.docs.fronts import distinct_steps
from himap import HimapError
from minis import checkpoint
from minis.recipe.architecture import NAMES
from objectives.statistics.estimates import Interval
from search.reporting.report import chosen, hypervolume
from storage import StorageError, Trial, open_store
from storage.pareto import WITHINS, front

README = Path(__file__).parents[2] / "README.md"
# What each task of the dense model should reach, in %.
GOALS = {"vqav2": 85, "textvqa": 93, "pope": 92, "mme": 85, "scienceqa": 90, "aokvqa": 90}
WITHIN_1 = WITHINS[1]
_ORIGINS = ("dense", "fastv", "paper", "random")


def minis_table() -> str:
    """Test accuracy of both minis by task and configuration."""
    measured = [json.loads((checkpoint.path(name) / "evaluation.json").read_text()) for name in NAMES]
    configs = list(next(iter(measured[0]["tasks"].values())))
    rows = [["model", "task", "goal", *configs], ["---"] * (3 + len(configs))]
    for document in measured:
        for task, cells in document["tasks"].items():
            missed = " **missed**" if 100 * cells["dense"]["accuracy"] < GOALS[task] else ""
            shown = [_percent(Interval(c["accuracy"], c["low"], c["high"])) for c in cells.values()]
            rows.append([document["model"], task, f"{GOALS[task]}{missed}", *shown])
        shares = [_mean_flops(document, config) for config in configs]
        rows.append([document["model"], "*mean true FLOPs*", "", *shares])
    origin = "; ".join(
        f"{d['model']}: {d['device']}, commit {d['commit']}, weights {d['weights_digest'][:8]}" for d in measured
    )
    return f"{_lines(rows)}\n\nMeasured: {origin}."


def search_table(storage: str) -> str:
    """Landmarks, preset and front of every study in the store."""
    head = [*_ORIGINS, "preset: cheapest within 1 point of dense", "front", "distinct", "hypervolume"]
    rows = [["benchmark", *head], ["---"] * (1 + len(head))]
    with open_store(storage, readonly=True) as store:
        studies = [(s.key, store.trials(s.id)) for s in store.studies() if s.complete]
    for key, trials in studies:
        by_origin = {t.origin: t for t in trials if t.complete}
        members = front(trials)
        cells = [_cell(by_origin.get(origin)) for origin in _ORIGINS]
        counts = [str(len(members)), str(len(distinct_steps(members))), f"{hypervolume(trials):.3f}"]
        rows.append([key.benchmark, *cells, _cell(chosen(trials)), *counts])
    key, trials = studies[0]
    origin = (
        f"{key.model}, weights {key.weights_digest[:8]}, {len(trials)} trials a pair, n = {key.n_questions} "
        f"validation questions, seed {key.seed}; {trials[0].device}; commit {trials[0].commit}"
    )
    return f"{_lines(rows)}\n\nMeasured: {origin}."


def confirmed_table(folder: Path) -> str:
    """Each benchmark's preset within 1 point of dense, with what its test questions said."""
    presets = [himap.read_preset(path) for path in sorted(folder.glob("*.yaml"))]
    rows = [["benchmark", "FLOPs, % of dense", "test accuracy", "difference to dense, points", "verdict"]]
    rows.append(["---"] * len(rows[0]))
    chosen_ones = [p for p in presets if p.promise.place == WITHIN_1.name]
    if not chosen_ones:
        raise ValueError(f"no preset in {folder} is the {WITHIN_1.name}; run python -m search.export")
    for preset in chosen_ones:
        m = preset.measured[0]
        accuracy = Interval(m.accuracy, m.accuracy_low, m.accuracy_high)
        difference = Interval(m.difference, m.difference_low, m.difference_high)
        cells = [f"{100 * m.flops_ratio:.0f}", _percent(accuracy), _percent(difference)]
        rows.append([m.benchmark, *cells, preset.promise.verdict.partition(":")[0]])
    kept = sum(p.promise.confirmed for p in presets)
    first, origin = chosen_ones[0].measured[0], chosen_ones[0].provenance
    measured = f"n = {first.n} {first.split} questions; {origin.device}; commit {origin.commit}"
    return f"{_lines(rows)}\n\nOf all {len(presets)} presets {kept} are confirmed. Measured: {measured}."


def replaced(text: str, name: str, table: str) -> str:
    """`text` with the table called `name` put between its two comments."""
    pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
    if not re.search(pattern, text, re.DOTALL):
        raise ValueError(f"no table {name!r} in the README; expected <!-- {name}:begin --> and its end")
    return re.sub(pattern, lambda match: f"{match[1]}{table}\n{match[2]}", text, flags=re.DOTALL)


def _percent(interval: Interval) -> str:
    return f"{100 * interval.mean:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _mean_flops(document: dict[str, Any], config: str) -> str:
    shares = [cells[config]["flops_ratio"] for cells in document["tasks"].values()]
    return f"{100 * sum(shares) / len(shares):.0f} %"


def _cell(trial: Trial | None) -> str:
    if trial is None:
        return "not measured"
    interval = Interval(trial.accuracy, trial.accuracy_low, trial.accuracy_high)
    return f"{_percent(interval)} at {100 * trial.flops_ratio:.0f} %"


def _lines(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.docs.results", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--storage", metavar="URL", help="also the table of the searches in this store")
    parser.add_argument("--presets", type=Path, metavar="DIR", help="also the table of these presets")
    options = parser.parse_args(arguments)
    try:
        text = replaced(README.read_text(), "minis", minis_table())
        if options.storage:
            text = replaced(text, "search", search_table(options.storage))
        if options.presets:
            text = replaced(text, "confirmed", confirmed_table(options.presets))
    except (StorageError, HimapError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    README.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
