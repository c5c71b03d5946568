"""Read and draw the training curves of a mini."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt


def read(runs: Path) -> list[dict[str, Any]]:
    """Return the rows of RUNS/curves.jsonl: stage, step, steps, loss and seconds."""
    return [json.loads(line) for line in (runs / "curves.jsonl").read_text().splitlines()]


def draw(name: str, runs: Path, out: Path) -> None:
    """Draw one panel a stage: the loss over the steps, with the stage's minutes."""
    stages = {"language": "decoder on symbols", f"vision-{name}": "vision tower", f"tune-{name}": "both on scenes"}
    rows = read(runs)
    figure, panels = plt.subplots(1, len(stages), figsize=(10, 3), layout="constrained")
    for panel, (stage, title) in zip(panels, stages.items(), strict=True):
        points = {row["step"]: row for row in rows if row["stage"] == stage}  # a resumed run repeats some steps
        steps = sorted(points)
        panel.plot(steps, [points[step]["loss"] for step in steps], color="#3057c9")
        panel.set(yscale="log", xlabel="step", title=f"{title}, {points[steps[-1]]['seconds'] / 60:.0f} min")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("loss (mean of 20 steps)")
    figure.suptitle(f"{name}: training loss")
    figure.savefig(out, dpi=110)
