"""Measure the test accuracy of a mini: plain generate() with each benchmark's prompt on test scenes.

    python -m minis.evaluate --model qwenvl-mini --pruned --json

The first 500 test questions of each of the six embedded benchmarks, with 95 % Wilson intervals.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from himap import PruningConfig
from minis import checkpoint
from minis.recipe.architecture import NAMES
from minis.tables import accuracy_table
from objectives.benchmarks import BENCHMARKS, benchmark
from objectives.data.embedded import embedded_questions
from objectives.errors import ObjectiveError
from objectives.evaluation.evaluator import Evaluation, Evaluator
from objectives.evaluation.latency import device_name
from objectives.evaluation.models import LoadedModel, load
from objectives.flops import DecoderShape, flops_ratio
from objectives.options import add_json_option, check_json, write_json
from objectives.provenance import commit, versions

SPLIT = "test"
# Dense; the paper's setting; its cuts at random; about a quarter of the FLOPs, at random and by attention.
CONFIGS = {
    "dense": PruningConfig.dense(),
    "paper": PruningConfig.paper(),
    "paper cuts, random": PruningConfig(2, 50, 8, 75, "random", "random"),
    "quarter, random": PruningConfig(1, 90, 2, 0, "random"),
    "quarter, instruction": PruningConfig(1, 90, 2, 0, "instruction"),
}


def evaluations(
    loaded: LoadedModel, names: Iterable[str], n: int, configs: Mapping[str, PruningConfig]
) -> dict[str, dict[str, Evaluation]]:
    """Evaluate each configuration on the first `n` test questions of each benchmark; show the progress."""
    results: dict[str, dict[str, Evaluation]] = {}
    for name in tqdm(list(names), "benchmarks", disable=None):
        evaluator = Evaluator(loaded, benchmark(name), embedded_questions(benchmark(name), SPLIT, n))
        results[name] = {label: evaluator.evaluate(config) for label, config in configs.items()}
    return results


def cell(shape: DecoderShape, result: Evaluation, config: PruningConfig) -> dict[str, Any]:
    """Return the accuracy with its 95 % interval and n, and the FLOPs, of one evaluation."""
    return {
        "accuracy": result.accuracy.mean,
        "low": result.accuracy.low,
        "high": result.accuracy.high,
        "n": len(result.scores),
        "flops_ratio": flops_ratio(shape, result.image_tokens, result.text_tokens, config),
    }


def evaluate(source: str | Path, n: int, configs: dict[str, PruningConfig]) -> dict[str, Any]:
    """Measure accuracy and FLOPs of each configuration on each benchmark."""
    loaded = load(source)
    shape = DecoderShape.from_config(loaded.model.config)
    tasks: dict[str, dict[str, Any]] = {}
    for name, row in evaluations(loaded, BENCHMARKS, n, configs).items():
        tasks[name] = {}
        for label, result in row.items():
            tasks[name][label] = {**cell(shape, result, configs[label]), "metrics": result.metrics}
    return {
        "model": Path(source).name,
        "weights_digest": loaded.digest,
        "split": SPLIT,
        "tasks": tasks,
        "device": device_name(*loaded.devices),
        "commit": commit(),
        "versions": versions(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the accuracies; exit code 2 with one line on stderr where the model or the questions are missing."""
    parser = argparse.ArgumentParser(
        prog="python -m minis.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help=f"{' or '.join(NAMES)}, or a checkpoint's folder")
    parser.add_argument("--n", type=int, default=500, help="test questions per benchmark (default 500)")
    parser.add_argument("--pruned", action="store_true", help="also measure the paper's setting and the controls")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # small matrices: one thread is as fast, and comparable with the search
    source = checkpoint.path(options.model) if options.model in NAMES else Path(options.model)
    configs = CONFIGS if options.pruned else {"dense": CONFIGS["dense"]}
    try:
        check_json(options.json)
        result = evaluate(source, options.n, configs)
    except (ObjectiveError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    origin = f"{result['model']} on {result['device']}, n = {options.n}, commit {result['commit'] or 'unknown'}"
    write_json(options.json, result, f"{accuracy_table(result['tasks'])}\n\n{origin}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
