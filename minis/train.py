"""Trains a mini from nothing: decoder on symbols, eyes on dense labels, then decoder on rendered scenes.

    python -m minis.train --model llava-mini

Every stage goes on from its last checkpoint when the command is repeated; curves go to RUNS/curves.jsonl.
The shipped minis were trained in several phases; their model cards say which, and what it took.
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
    parser = argparse.ArgumentParser(prog="python -m minis.train", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", required=True, choices=NAMES)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints and curves (runs/)")
    parser.add_argument("--out", type=Path, help="where the mini goes (default: the shipped one's folder)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    language.train(options.runs, LANGUAGE_STEPS, options.seed)
    for name in dict.fromkeys(("qwenvl-mini", options.model)):  # llava-mini starts from the other's decoder
        seeing, answering = STEPS[name]
        vision.train(name, options.runs, seeing, options.seed)
        model = tune.train(name, options.runs, answering, options.seed)
    folder = options.out or checkpoint.path(options.model)
    checkpoint.save(options.model, model, build_tokenizer(options.model), folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
