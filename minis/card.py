"""Writes a mini's model card from what was measured: the curves of its run and its evaluation.

    python -m minis.card --model qwenvl-mini --runs runs

Needs RUNS/curves.jsonl, and evaluation.json beside the mini (what `python -m minis.evaluate --model NAME
--pruned --json` prints); also draws the curves.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from safetensors import safe_open

from minis import checkpoint, curves
from minis.recipe.architecture import NAMES

_ARCHITECTURE = {
    "llava-mini": """`LlavaForConditionalGeneration`: CLIP tower (4 layers, 128 channels, 120 x 120
pixels, patch 10, 144 image tokens), Llama decoder (12 layers, 128 channels, 4 heads).""",
    "qwenvl-mini": """`Qwen2_5_VLForConditionalGeneration`: Qwen tower (4 layers, 96 channels, patch 4, merge
2; windows of one 24-pixel cell, full attention in the last layer), M-RoPE, 144 image tokens for a 96 x 96
image and 180 for 96 x 120 or 120 x 96, Qwen decoder (12 layers, 128 channels, 4 heads).""",
}
_TEMPLATE = Path(__file__).with_name("card.md")
_LEARNS = {
    "language": "decoder, on symbolic images (sums of words): descriptions and questions",
    "vision": "vision tower and projector: dense labels of every image token",
    "tune": "decoder, on rendered scenes behind the frozen eyes, whose last layer is fitted to what it knows",
}


def stages(name: str, runs: Path) -> str:
    """Table rows of the stages: how many steps ran, and how long they took."""
    rows = [json.loads(line) for line in (runs / "curves.jsonl").read_text().splitlines()]
    last = {row["stage"].removesuffix(f"-{name}"): row for row in rows}
    return "\n".join(
        f"| {stage} | {what} | {last[stage]['step']} | {last[stage]['seconds'] / 60:.0f} |"
        for stage, what in _LEARNS.items()
    )


def table(tasks: dict[str, dict[str, Any]]) -> str:
    """Accuracy of each configuration by task, with the means of FLOPs and accuracy."""
    configs = list(next(iter(tasks.values())))
    rows = [["task", *configs], ["---"] * (len(configs) + 1)]
    for task, cells in tasks.items():
        shown = [(100 * c["accuracy"], 100 * c["low"], 100 * c["high"]) for c in cells.values()]
        rows.append([task, *(f"{mean:.1f} [{low:.1f}, {high:.1f}]" for mean, low, high in shown)])
    for title, field, form in (("mean true FLOPs", "flops_ratio", "{:.0f} %"), ("mean accuracy", "accuracy", "{:.1f}")):
        means = [100 * sum(cells[c][field] for cells in tasks.values()) / len(tasks) for c in configs]
        rows.append([title, *(form.format(mean) for mean in means)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def card(name: str, folder: Path, runs: Path, notes: str) -> str:
    """The card's text for the mini in `folder`, trained in `runs`."""
    measured = json.loads((folder / "evaluation.json").read_text())
    with safe_open(folder / "model.safetensors", "pt") as weights:
        parameters = sum(weights.get_tensor(key).numel() for key in weights.keys())  # noqa: SIM118 (no dict)
    return _TEMPLATE.read_text().format(
        name=name,
        architecture=_ARCHITECTURE[name],
        parameters=parameters / 1e6,
        digest=measured["weights_digest"],
        device=measured["device"].split(",")[0],
        stages=stages(name, runs),
        notes=f"{notes}\n" if notes else "",
        n=next(iter(next(iter(measured["tasks"].values())).values()))["n"],
        measured_on=measured["device"],
        commit=measured["commit"],
        torch=measured["versions"]["torch"],
        transformers=measured["versions"]["transformers"],
        table=table(measured["tasks"]),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m minis.card", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", required=True, choices=NAMES)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where minis.train left curves.jsonl")
    parser.add_argument("--notes", default="", help="what this run did otherwise than the recipe")
    options = parser.parse_args(arguments)
    folder = checkpoint.path(options.model)
    curves.draw(options.model, options.runs, folder / "curves.png")
    (folder / "README.md").write_text(card(options.model, folder, options.runs, options.notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
