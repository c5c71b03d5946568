"""What a launch is about to do, in plain lines, before it does it."""

from __future__ import annotations

import torch

from objectives.provenance import commit
from search.pair import Pair
from search.pairs import SPLIT, Request
from search.targets import KNOWN, Target
from storage import Store


def lines(
    model: str, target: Target, request: Request, pairs: list[Pair], workers: int, store: Store
) -> list[str]:
    """Model, weights, device, pairs, budget, workers and store, and what to type for the full weights."""
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU (no GPU)"
    benchmarks = ", ".join(asked.key for asked in request.asked)
    each = (
        ""
        if any(asked.record for asked in request.asked)
        else f"; {request.questions} {SPLIT} questions each"
    )
    stored, planned = sum(len(pair.trials) for pair in pairs), request.budget * len(pairs)
    said = [
        f"model      {model}",
        f"weights    {target.kind}: {target.source}, digest {target.digest[:12]}",
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
