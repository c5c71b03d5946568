"""Draw the training curves of a mini.

python -m minis.curves --model qwenvl-mini --runs runs
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from minis import checkpoint
from minis.recipe.architecture import NAMES


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


def main(arguments: list[str] | None = None) -> int:
    """Draw the curves into a PNG file."""
    parser = argparse.ArgumentParser(prog="python -m minis.curves", description=__doc__)
    parser.add_argument("--model", required=True, choices=NAMES)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that minis.train wrote (default runs)")
    parser.add_argument("--out", type=Path, help="default: curves.png beside the mini")
    options = parser.parse_args(arguments)
    draw(options.model, options.runs, options.out or checkpoint.path(options.model) / "curves.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
