"""Write docs/results/minis.md and docs/results/main_job.md, and draw docs/fronts.png, from what was measured.

    python -m bench.docs.results --storage sqlite:///himap.db --presets presets/

The table of the minis comes from their evaluation.json, table and picture of the searches from the store, and the
certified table from the presets that `search.export` wrote.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import himap
from bench import command
from bench.docs import pages
from bench.docs.fronts import distinct_steps, draw
from himap import HimapError, Preset
from minis import checkpoint
from minis.recipe.architecture import NAMES
from minis.tables import accuracy_rows, markdown, percent
from search.reporting.presets import preset_trial
from storage import StorageError, StudyKey, Trial, open_store
from storage.confirmation import points
from storage.pareto import WITHIN_MARGINS, front, hypervolume
from storage.records import Origin, headline

# The accuracy that the dense model should reach on each task, in %.
GOALS = {"vqav2": 85, "textvqa": 93, "pope": 92, "mme": 85, "scienceqa": 90, "aokvqa": 90}
WITHIN_1 = WITHIN_MARGINS[1]
_ORIGINS: tuple[Origin, ...] = ("dense", "fastv", "paper", "random")


def minis_table() -> str:
    """Return the test accuracy of both minis by task and configuration."""
    documents = [json.loads((checkpoint.path(name) / "evaluation.json").read_text()) for name in NAMES]
    rows = []
    for document in documents:
        tasks = document["tasks"]
        configs, (*task_rows, flops_row) = accuracy_rows(tasks)
        for task, *cells in task_rows:
            missed = " **missed**" if 100 * tasks[task]["dense"]["accuracy"] < GOALS[task] else ""
            rows.append([document["model"], task, f"{GOALS[task]}{missed}", *cells])
        rows.append([document["model"], f"*{flops_row[0]}*", "", *flops_row[1:]])
    origin = "; ".join(
        f"{d['model']}: {d['device']}, commit {d['commit']}, weights {d['weights_digest'][:8]}" for d in documents
    )
    return f"{markdown(['model', 'task', 'goal', *configs], rows)}\n\nMeasured: {origin}."


def complete_studies(storage: str) -> list[tuple[StudyKey, list[Trial]]]:
    """Return the studies of a store that have complete trials, with all their trials."""
    with open_store(storage, readonly=True) as store:
        return [(s.key, store.trials(s.id)) for s in store.studies() if s.complete]


def search_table(studies: list[tuple[StudyKey, list[Trial]]]) -> str:
    """Return the baselines, the preset and the front of every study."""
    head = ["benchmark", *_ORIGINS, "preset: cheapest within 1 point of dense", "front", "distinct", "hypervolume"]
    rows = []
    for key, trials in studies:
        by_origin = {t.origin: t for t in trials if t.complete}
        members = front(trials)
        cells = [_cell(by_origin.get(origin)) for origin in _ORIGINS]
        counts = [str(len(members)), str(len(distinct_steps(members))), f"{hypervolume(trials):.3f}"]
        rows.append([key.benchmark, *cells, _cell(preset_trial(trials)), *counts])
    key, trials = studies[0]
    sizes = sorted({len(some) for _, some in studies})
    size = " to ".join(map(str, dict.fromkeys([sizes[0], sizes[-1]])))
    return (
        f"{markdown(head, rows)}\n\nMeasured: {key.model}, weights {key.weights_digest[:8]}, {size} trials a "
        f"pair, n = {key.n_questions} validation questions, seed {key.seed}; {trials[0].device}; commit "
        f"{trials[0].commit}."
    )


def _cell(trial: Trial | None) -> str:
    if trial is None:
        return "not measured"
    accuracy = percent(trial.accuracy, trial.accuracy_low, trial.accuracy_high)
    return f"{accuracy} at {100 * trial.flops_ratio:.0f} %"


def certified_table(folder: Path) -> str:
    """Return what is deployed within each margin, by benchmark: its FLOPs, its speed-up and its certified bound."""
    presets = [himap.read_preset(path) for path in sorted(folder.glob("*.yaml"))]
    found = {(one.measured[0].benchmark, one.certificate.operating_point): one for one in presets}
    found = {key: one for key, one in found.items() if key[1] in {point.name for point in WITHIN_MARGINS}}
    if not found:
        raise ValueError(f"no preset in {folder} is the cheapest within a margin; run python -m search.launch")
    head = ["benchmark", *(f"within {points(point.margin)}" for point in WITHIN_MARGINS)]
    rows = []
    for benchmark in sorted({benchmark for benchmark, _ in found}):
        rows.append([benchmark, *(_deployed(found.get((benchmark, point.name))) for point in WITHIN_MARGINS)])
    costs = [
        100 * (one.measured[0].flops_ratio or math.nan) if one.certificate.certified else 100.0
        for (_, name), one in found.items()
        if name == WITHIN_1.name
    ]
    origin = next(iter(found.values())).provenance
    return (
        f"{markdown(head, rows)}\n\n{sum(one.certificate.certified for one in found.values())} of {len(found)} margins "
        f"are certified; the mean cost within 1 point is {sum(costs) / len(costs):.0f} % of dense's FLOPs. Measured: "
        f"{origin.device}; commit {origin.commit}."
    )


def _deployed(preset: Preset | None) -> str:
    """Return what a preset deploys: "21 % of FLOPs, x1.52 [1.47, 1.60], loses at most 0.8, n = 1,000", or "dense"."""
    if preset is None:
        return "not measured"
    certificate, measured = preset.certificate, preset.measured[0]
    if not certificate.certified:
        return "dense"
    speed = headline(measured.speed)
    timed = f"{speed.ratio}, " if speed else ""
    bound = "" if certificate.bound_points is None else f"loses at most {certificate.bound_points:g}, "
    return f"{100 * (measured.flops_ratio or math.nan):.0f} % of FLOPs, {timed}{bound}n = {measured.n:,}"


def main(arguments: list[str] | None = None) -> int:
    """Write the tables; exit code 2 with one line on stderr where a source is missing."""
    parser = command.parser("bench.docs.results", __doc__)
    parser.add_argument(
        "--storage", metavar="URL", help="also write the table and the picture of the searches in this store"
    )
    parser.add_argument("--presets", type=Path, metavar="DIR", help="also write the table of these presets")
    options = parser.parse_args(arguments)
    try:
        studies = complete_studies(options.storage) if options.storage else []
        tables = {"search": search_table(studies)} if studies else {}
        tables |= {"certified": certified_table(options.presets)} if options.presets else {}
        pages.write("minis", minis=minis_table())
        pages.write("main_job", **tables)
        if studies:
            draw(studies, pages.PAGES.parent / "fronts.png")
    except (StorageError, HimapError, ValueError) as error:
        return command.fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
