"""What a search found: tables, the JSON document, presets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.table import Table

from himap import Preset, PresetError, read_preset
from himap.files import write_atomically
from objectives.evaluation.checkpoints import Target
from objectives.evaluation.known_models import KNOWN
from objectives.provenance import commit
from search.sampling.problem import Goals
from search.studies.open_studies import SPLIT, Request
from search.studies.study_run import StudyRun
from storage import Store, StudyKey, Trial
from storage.confirmation import HELD_OUT
from storage.pareto import cheapest_within, front, hypervolume
from storage.presets import preset_filename, preset_of

_FRONT_FIELDS = (
    "k1",
    "r1",
    "k2",
    "r2",
    "phi_shallow",
    "phi_deep",
    "paper_flops",
    "flops",
    "flops_ratio",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "n",
    "latency_ms",
)


def chosen(trials: list[Trial], goals: Goals | None = None) -> Trial | None:
    """The front member that a preset is made of: the cheapest within one point of dense, else the best; of
    those within the limits where there are limits."""
    dense = next((t for t in trials if t.origin == "dense" and t.complete), None)
    members = [t for t in front(trials) if goals is None or goals.within(t, dense)]
    return cheapest_within(members, dense) or (members[-1] if members else None)


def document(pairs: list[StudyRun]) -> dict[str, Any]:
    """The machine-readable result; `seconds` are what evaluators spent on a pair, over all launches."""
    return {
        "pairs": [
            {
                "model": pair.key.model,
                "benchmark": pair.key.questions,
                "questions": _origin(pair),
                "trials": len(pair.trials),
                "failed": sum(t.failed for t in pair.trials),
                "pruned": sum(t.state == "pruned" for t in pair.trials),
                "reused": sum(t.reused for t in pair.trials),
                "seconds": round(sum(t.seconds for t in pair.trials if not t.failed), 1),
                "hypervolume": hypervolume(pair.trials),
                "front": [
                    {name: value for name, value in t.flat().items() if name in _FRONT_FIELDS}
                    for t in front(pair.trials)
                ],
            }
            for pair in pairs
        ]
    }


def _front_fields(trial: Trial) -> dict[str, Any]:
    return {name: value for name, value in trial.flat().items() if name in _FRONT_FIELDS}


def _origin(pair: StudyRun) -> dict[str, Any] | None:
    """Where questions that are not embedded come from, and how many rows of a file were left out."""
    source = pair.sources.get(pair.key.questions)
    if source is None:
        return None
    return {"options": source.options, "n": pair.key.n_questions, "left_out": len(source.skipped)}


def write_json(path: Path, pairs: list[StudyRun]) -> None:
    write_atomically(path, json.dumps(document(pairs), indent=2) + "\n")


def write_presets(folder: Path, pairs: list[StudyRun]) -> list[Path]:
    """One preset per pair that found something, as an estimate; returns the paths.

    A file that an export has confirmed for the same configuration and weights stays as it is.
    """
    best = [(pair, chosen(pair.trials, pair.study.goals)) for pair in pairs]
    placed = [
        (folder / preset_filename(pair.key.model, pair.key.questions), pair, trial)
        for pair, trial in best
        if trial is not None
    ]
    return [
        path if _confirmed(path, pair.key, trial) else _preset(pair, trial).write(path) for path, pair, trial in placed
    ]


def _preset(pair: StudyRun, trial: Trial) -> Preset:
    return preset_of(pair.key, trial, sources=pair.sources, family=pair.family, layers=pair.study.space.layers)


def _confirmed(path: Path, key: StudyKey, trial: Trial) -> bool:
    try:
        preset = read_preset(path)
    except PresetError:
        return False
    same = preset.config == trial.config and preset.model.weights_digest == key.weights_digest
    return same and any(measured.split == HELD_OUT for measured in preset.measured)


def table(pair: StudyRun) -> Table:
    """The front beside the baselines, by rising FLOPs; the preset's row is marked."""
    members = front(pair.trials)
    baselines = [
        t for t in pair.trials if t.complete and t.origin not in ("sampler", "warm_start") and t not in members
    ]
    preset = chosen(pair.trials, pair.study.goals)
    n = max((t.n for t in pair.trials), default=0)
    title = f"{pair.key.model} / {pair.key.questions} ({n} validation questions, 95 % intervals)"
    shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("", "FLOPs %", "accuracy %", "K1", "R1 %", "K2", "R2 %", "φ shallow", "φ deep", "ms"):
        shown.add_column(name, justify="right" if name not in ("", "φ shallow", "φ deep") else "left")
    for trial in sorted([*members, *baselines], key=lambda t: (t.flops_ratio, t.accuracy)):
        role = "front" if trial in members else ""
        role = f"{role} {trial.origin}".strip() if trial.origin != "sampler" else role
        shown.add_row(f"{role} (preset)" if trial is preset else role, *_cells(trial))
    return shown


def _cells(trial: Trial) -> list[str]:
    interval = f"[{100 * trial.accuracy_low:.1f}, {100 * trial.accuracy_high:.1f}]"
    shallow, deep = trial.config.r1 > 0, trial.config.r2 > 0 and trial.tokens_after_k1 > 0
    return [
        f"{100 * trial.flops_ratio:.1f}",
        f"{100 * trial.accuracy:.1f} {interval}",
        *([str(trial.config.k1), f"{trial.config.r1:g}"] if shallow else ["-", "0"]),
        *([str(trial.config.k2), f"{trial.config.r2:g}"] if deep else ["-", "0"]),
        trial.config.phi_shallow if shallow else "-",
        trial.config.phi_deep if deep else "-",
        f"{trial.latency_ms:.1f}" if trial.latency_ms > 0 else "-",
    ]


def lines(model: str, target: Target, request: Request, pairs: list[StudyRun], workers: int, store: Store) -> list[str]:
    """Model, weights, device, pairs, budget, workers and store, and what to type for the full weights."""
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU (no GPU)"
    benchmarks = ", ".join(asked.key for asked in request.asked)
    each = "" if any(asked.record for asked in request.asked) else f"; {request.questions} {SPLIT} questions each"
    stored, planned = sum(len(pair.trials) for pair in pairs), request.budget * len(pairs)
    said = [
        f"model      {model}",
        f"weights    {target.kind}: {target.weights}, digest {target.digest[:12]}",
        f"device     {device}",
        f"pairs      {len(pairs)}: {benchmarks}{each}",
        *(line for asked in request.asked for line in asked.lines()),
        f"budget     {request.budget} trials a pair, {stored} of {planned} already stored",
        f"search     {request.sampler}, {' and '.join(request.goals.objectives)}, seed {request.seed}, "
        f"{workers} worker(s)",
        f"code       {commit() or 'unknown commit'}",
        f"store      {store.location}",
    ]
    if target.kind == "embedded mini" and model in KNOWN:
        hub_id = KNOWN[model].hub_id
        said += [
            "",
            f"NOTE: this searches the small embedded model, not {hub_id}.",
            *([f"{target.why}."] if target.why else []),
            "Its numbers show the method at work; they say nothing about the full model. For that, on a GPU:",
            f"    hf download {hub_id}",
            f"    python -m search.launch --model {model} --weights full --budget {request.budget}",
            "",
        ]
    return said
