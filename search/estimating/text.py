"""An estimate as lines for people, and as a document for programs."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from search.estimating.estimate import Estimate, StudyEstimate
from storage import Trial

_PHASES = ("explore", "refine", "certify")


def lines(estimate: Estimate) -> list[str]:
    """Return what a search will need."""
    memory, total = estimate.memory, sum(estimate.memory.values())
    parts = ", ".join(f"{name} {_bytes(size)}" for name, size in memory.items())
    room = estimate.devices * estimate.device.memory
    device, count = estimate.device, f"{estimate.devices} x " if estimate.devices > 1 else ""
    flops = f"{device.flops / 1e12:.3g} TFLOPS, {device.bandwidth / 1e9:.0f} GB a second, {_bytes(device.memory)}"
    fits = f"batches of {estimate.batch}" if estimate.batch else "NOT A SINGLE PROMPT FITS"
    ends = itertools.accumulate(estimate.hours.values())
    reached = [f"{_duration(hours)} to the end of {phase}" for phase, hours in zip(_PHASES, ends, strict=True)]
    return [
        f"device     {count}{device.name}: {flops}; taken to reach {100 * estimate.share:g} % of that",
        *(line for study in estimate.studies for line in _study_lines(study)),
        f"memory     {_bytes(total)} of {_bytes(room)} a worker: {parts}; {fits}",
        f"speed      {estimate.questions_per_hour:,.0f} dense questions an hour on {estimate.workers} worker(s)",
        f"time       {', '.join(reached)}; speed measurements not counted",
        "NOTE: an estimate; answers are taken to be as long as allowed, and nothing to be shared or cut short.",
    ]


def _study_lines(study: StudyEstimate) -> list[str]:
    image, text = ([getattr(size, name) for size in study.sizes] for name in ("image", "text"))
    answers = ", ".join(f"{study.answers[phase]:,} to {phase}" for phase in _PHASES)
    asked = f"{len(study.sizes)} questions about {study.images} image(s)"
    tower = f"vision tower {study.vision / 1e9:.3g} G, {'once for all settings' if study.once else 'counted in'}"
    return [
        f"study      {study.name}: {asked}, {_range(image)} image and {_range(text)} text tokens, at most "
        f"{study.new_tokens} new ones",
        f"flops      dense {study.dense / 1e9:.3g} G a question, typical setting {study.typical:.0%} of it, cheapest "
        f"{study.cheapest:.0%}; {tower}",
        f"answers    {answers}",
    ]


def correction_line(estimate: Estimate, trials: Iterable[tuple[str, Trial]]) -> str:
    """Return the hours as corrected by dense's time; "" before dense is measured.

    Args:
        trials: each with the name of its study.
    """
    factor = estimate.correction(trials)
    if factor is None:
        return ""
    hours = ", ".join(f"{_duration(factor * hours)} to {phase}" for phase, hours in estimate.hours.items())
    assumed = f"{100 * estimate.share:g} % of {estimate.device.name}'s peak"
    return f"estimate   dense took {factor:.2g} times as long as at {assumed}; in all {hours}"


def document(estimate: Estimate) -> dict[str, Any]:
    """Return the estimate as JSON takes it."""
    whole = asdict(estimate)
    for study, of in zip(whole["studies"], estimate.studies, strict=True):
        del study["sizes"]
        for name in ("image", "text"):
            counts = [getattr(size, name) for size in of.sizes]
            figures = {"least": min(counts), "median": statistics.median(counts), "most": max(counts)}
            study[f"{name}_tokens"] = figures
        study["questions"] = len(of.sizes)
        best = of.at_best
        study["at_best"] = None if best is None else {"questions": best[0], "points": 100 * best[1]}
    return whole | {"questions_per_hour": estimate.questions_per_hour, "hours": estimate.hours}


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _range(counts: list[int]) -> str:
    return f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"


def _bytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
