"""Train a mini from random weights: its decoder on symbols, its vision tower on labels, both on scenes.

    python -m minis.train --model llava-mini

Each stage resumes from its last checkpoint when you repeat the command. Curves go to RUNS/curves.jsonl. The
shipped minis were trained in several phases; their model cards describe them.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import torch

from minis import checkpoint
from minis.recipe import language, tune, vision
from minis.recipe.architecture import NAMES
from minis.recipe.text import build_tokenizer

LANGUAGE_STEPS = 700
STEPS = {"qwenvl-mini": (400, 2400), "llava-mini": (1500, 1000)}  # of stages 2 and 3


def main(arguments: list[str] | None = None) -> int:
    """Train all stages and save the mini."""
    parser = argparse.ArgumentParser(
        prog="python -m minis.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, choices=NAMES)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints and curves (default runs)")
    parser.add_argument("--out", type=Path, help="folder of the mini (default: the shipped one's)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    language.train(options.runs, LANGUAGE_STEPS, options.seed)
    for name in dict.fromkeys(("qwenvl-mini", options.model)):  # llava-mini starts from qwenvl-mini's decoder
        vision_steps, tune_steps = STEPS[name]
        vision.train(name, options.runs, vision_steps, options.seed)
        model = tune.train(name, options.runs, tune_steps, options.seed)
    folder = options.out or checkpoint.path(options.model)
    checkpoint.save(options.model, model, build_tokenizer(options.model), folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
