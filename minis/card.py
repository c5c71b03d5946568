"""Write the model card of a mini from its training curves and its evaluation.

    python -m minis.card --model qwenvl-mini --runs runs

Reads RUNS/curves.jsonl, and evaluation.json beside the mini: what `python -m minis.evaluate --model NAME
--pruned --json` prints. Draws curves.png as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from safetensors import safe_open

from himap.files import write_atomically
from minis import checkpoint, curves
from minis.recipe.architecture import NAMES
from minis.tables import accuracy_table

_ARCHITECTURE = {
    "llava-mini": """`LlavaForConditionalGeneration`: CLIP tower (4 layers, 128 channels, 120 x 120
pixels, patch 10, 144 image tokens), Llama decoder (12 layers, 128 channels, 4 heads).""",
    "qwenvl-mini": """`Qwen2_5_VLForConditionalGeneration`: Qwen tower (4 layers, 96 channels, patch 4, merge
2; windows of one 24-pixel cell, full attention in the last layer), M-RoPE, 144 image tokens for a 96 x 96
image and 180 for 96 x 120 or 120 x 96, Qwen decoder (12 layers, 128 channels, 4 heads).""",
}
_TEMPLATE = Path(__file__).with_name("card.md")
_LEARNS = {
    "language": "decoder, on symbolic images (sums of word embeddings): descriptions and questions",
    "vision": "vision tower and projector: dense labels of every image token",
    "tune": "decoder, on rendered scenes; the vision tower is frozen, its last layer fitted to the decoder",
}


def stages(name: str, runs: Path) -> str:
    """Return one table row a training stage, with its steps and its minutes."""
    last = {row["stage"].removesuffix(f"-{name}"): row for row in curves.read(runs)}
    return "\n".join(
        f"| {stage} | {what} | {last[stage]['step']} | {last[stage]['seconds'] / 60:.0f} |"
        for stage, what in _LEARNS.items()
    )


def card(name: str, folder: Path, runs: Path, notes: str) -> str:
    """Return the card's text of the mini in `folder`, which was trained in `runs`."""
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
        table=accuracy_table(measured["tasks"]),
    )


def main(arguments: list[str] | None = None) -> int:
    """Write the card and draw the curves."""
    parser = argparse.ArgumentParser(
        prog="python -m minis.card", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, choices=NAMES)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that minis.train wrote (default runs)")
    parser.add_argument("--notes", default="", help="how this run differs from the recipe")
    options = parser.parse_args(arguments)
    folder = checkpoint.path(options.model)
    curves.draw(options.model, options.runs, folder / "curves.png")
    write_atomically(folder / "README.md", card(options.model, folder, options.runs, options.notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
