"""What a search will do, in lines for people."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from objectives.evaluation.checkpoints import Target
from objectives.evaluation.known_models import KNOWN
from objectives.provenance import commit
from search.config import SearchConfig
from search.inputs.questions import SPLIT, StudyQuestions, source_options
from search.studies.study_run import StudyRun
from storage.commands import DEFAULT_STORAGE, shell_command


def opening_lines(
    config: SearchConfig,
    target: Target,
    questions: Sequence[StudyQuestions],
    runs: Sequence[StudyRun],
    workers: int,
    store: str,
) -> list[str]:
    """Return lines on model, weights, device, studies, budget, workers and store, and how to get full weights."""
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU (no GPU)"
    benchmarks = ", ".join(part.key for part in questions)
    size = "" if any(part.record for part in questions) else f"; {config.questions} {SPLIT} questions each"
    stored, planned = sum(len(run.trials) for run in runs), config.trials * len(runs)
    refine = (
        f", {config.trials} explore, the answers of the rest refine the best" if config.trials < config.budget else ""
    )
    lines = [
        f"model      {config.model}",
        f"weights    {target.kind}: {target.weights}, digest {target.digest[:12]}",
        f"device     {device}",
        f"studies    {len(runs)}: {benchmarks}{size}",
        *_cut_lines(target),
        *(line for part in questions for line in part.lines()),
        f"budget     {config.budget} trials a study{refine}, {stored} of {planned} already stored",
        f"search     {config.sampler}, {' and '.join(config.objectives)}, seed {config.seed}, {workers} worker(s)",
        f"code       {commit() or 'unknown commit'}",
        f"store      {store}",
    ]
    if target.kind == "embedded mini" and config.model in KNOWN:
        hub_id = KNOWN[config.model].hub_id
        asked = source_options([part.record for part in questions]) or ["--benchmark", *config.benchmarks]
        full = ["--model", config.model, "--weights", "full", "--budget", str(config.budget), *asked]
        place = [] if config.storage == DEFAULT_STORAGE else ["--storage", config.storage]
        lines += [
            "",
            f"NOTE: this searches the small embedded model, not {hub_id}.",
            *([f"{target.why}."] if target.why else []),
            "Its numbers show the method at work; they say nothing about the full model. For that, on a GPU:",
            f"    hf download {hub_id}",
            f"    {shell_command('python', '-m', 'search.launch', *full, *place)}",
            "",
        ]
    return lines


def _cut_lines(target: Target) -> list[str]:
    """Return a line on the layers at which tokens can be ranked, where these are not all."""
    if len(target.cut_layers) == target.shape.layers - 1:
        return []
    layers = ", ".join(map(str, target.cut_layers))
    return [f"cuts       at layers {layers}, each behind attention; FastV's and the paper's move to the nearest"]
