"""Test accuracy of a mini: plain generate() with each benchmark's prompt on scenes of no other split.

python -m minis.evaluate --model qwenvl-mini --json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from himap import PruningConfig
from minis import checkpoint
from minis.recipe.architecture import NAMES
from objectives.benchmarks import BENCHMARKS
from objectives.data.embedded import embedded_questions
from objectives.errors import ObjectiveError
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.latency import device_name
from objectives.evaluation.models import load
from objectives.flops import DecoderShape, flops_ratio
from objectives.provenance import commit, versions

# Dense; the paper's setting; the same cuts by chance; about 1/4 of the FLOPs by chance and by attention.
CONFIGS = {
    "dense": PruningConfig.dense(),
    "paper": PruningConfig.paper(),
    "paper cuts, random": PruningConfig(2, 50, 8, 75, "random", "random"),
    "quarter, random": PruningConfig(1, 90, 2, 0, "random"),
    "quarter, instruction": PruningConfig(1, 90, 2, 0, "instruction"),
}


def evaluate(source: str | Path, n: int, configs: dict[str, PruningConfig]) -> dict[str, Any]:
    """Accuracy and FLOPs of each configuration on the first `n` test questions of each benchmark."""
    loaded = load(source)
    shape = DecoderShape.from_config(loaded.model.config)
    tasks: dict[str, dict[str, Any]] = {}
    for benchmark in tqdm(BENCHMARKS.values(), "benchmarks", disable=None):
        evaluator = Evaluator(loaded, benchmark, embedded_questions(benchmark, "test", n))
        tasks[benchmark.name] = {}
        for name, config in configs.items():
            result = evaluator.evaluate(config)
            accuracy = result.accuracy
            tasks[benchmark.name][name] = {
                "accuracy": accuracy.mean,
                "low": accuracy.low,
                "high": accuracy.high,
                "n": len(result.scores),
                "flops_ratio": flops_ratio(shape, result.image_tokens, result.text_tokens, config),
                "metrics": result.metrics,
            }
    return {
        "model": Path(source).name,
        "weights_digest": loaded.digest,
        "split": "test",
        "tasks": tasks,
        "device": device_name(loaded.device),
        "commit": commit(),
        "versions": versions(),
    }


def table(document: dict[str, Any]) -> str:
    """The document as lines of text."""
    lines = [f"{document['model']} on {document['device']}, commit {document['commit'] or 'unknown'}"]
    for task, row in document["tasks"].items():
        for name, cell in row.items():
            span = f"[{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]"
            share = f"{100 * cell['flops_ratio']:.0f} % FLOPs"
            lines.append(f"{task:10} {name:21} {100 * cell['accuracy']:5.1f} {span:13} n={cell['n']} {share}")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m minis.evaluate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", required=True, help=f"{' or '.join(NAMES)}, or a checkpoint's folder")
    parser.add_argument("--n", type=int, default=500, help="test questions per benchmark (default 500)")
    parser.add_argument("--pruned", action="store_true", help="also the paper's setting and controls")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # small matrices: one thread is as fast and comparable with the search
    source = checkpoint.path(options.model) if options.model in NAMES else Path(options.model)
    configs = CONFIGS if options.pruned else {"dense": CONFIGS["dense"]}
    try:
        document = evaluate(source, options.n, configs)
    except (ObjectiveError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if options.json else table(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
