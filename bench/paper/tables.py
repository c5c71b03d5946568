"""Measure the paper's Table 1 and Fig. 8 for our models: FLOPs, accuracy and time of four methods.

    python -m bench.paper.tables --storage sqlite:///himap.db --write

The methods are dense, FastV, HiMAP, and what a search found on validation questions (from a store, or from a
folder of presets). Accuracy is measured on test questions, which no search used, with the paired 95 % interval
of its difference to dense. Time is that of the first new token of one prompt, with the image features computed.
Full-size models: FLOPs always; accuracy and time only with --model, their weights and a GPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench import command
from bench.docs import pages
from himap import HimapError, PruningConfig, read_preset
from minis.evaluate import SPLIT, cell, evaluations
from minis.tables import markdown, percent
from objectives.benchmarks import BENCHMARKS, benchmark
from objectives.data.embedded import embedded_questions
from objectives.errors import ObjectiveError
from objectives.evaluation.checkpoints import Target, resolve
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.latency import device_name, measure
from objectives.evaluation.models import load
from objectives.flops import DecoderShape, flops, paper_flops
from objectives.flops.__main__ import PAPER_TEXT
from objectives.flops.shapes import FULL_SIZE
from objectives.provenance import commit
from objectives.statistics.estimates import paired_difference
from search.errors import UsageError
from search.reporting.presets import preset_trial
from storage import StorageError, open_store

MODELS = ("qwenvl", "llava-7b")
PAPER_MODELS = {"llava-7b": 2, "llava-13b": 3, "qwenvl-7b": 2}  # FastV's K
NOT_MEASURED = "not measured"

FindConfig = Callable[[Target, str], PruningConfig | None]


def methods(fastv_k: int) -> dict[str, PruningConfig]:
    """Return the configurations that need no search."""
    return {"dense": PruningConfig.dense(), "FastV": PruningConfig.fastv(fastv_k), "HiMAP": PruningConfig.paper()}


def from_store(url: str) -> FindConfig:
    """Return what the searches of a store chose for the same weights."""
    with open_store(url, readonly=True) as store:
        best = {
            (s.key.model, s.key.questions, s.key.weights_digest): preset_trial(store.trials(s.id))
            for s in store.studies()
            if s.complete
        }

    def find(target: Target, name: str) -> PruningConfig | None:
        trial = best.get((target.name, name, target.digest))
        return None if trial is None else trial.config

    return find


def from_presets(folder: Path) -> FindConfig:
    """Return the presets MODEL-BENCHMARK.yaml of a folder that have the same weights."""

    def find(target: Target, name: str) -> PruningConfig | None:
        path = folder / f"{target.name}-{name}.yaml"
        preset = read_preset(path) if path.exists() else None
        return preset.config if preset and preset.model.weights_digest == target.digest else None

    return find


def full_size() -> list[dict[str, Any]]:
    """Return the FLOPs of the paper's models; Eq. 10 with the paper's sizes, see docs/flops.md."""
    rows = []
    for name, fastv_k in PAPER_MODELS.items():
        known = FULL_SIZE[name]
        paper_shape, paper_n = known.paper or (known.shape, known.image_tokens)
        dense = flops(known.shape, known.image_tokens, PAPER_TEXT, PruningConfig.dense())
        for method, config in methods(fastv_k).items():
            by_paper, true = (
                paper_flops(paper_shape, paper_n, config),
                flops(known.shape, known.image_tokens, PAPER_TEXT, config),
            )
            rows.append(
                {"model": name, "method": method, "paper_flops": by_paper, "flops": true, "ratio": true / dense}
            )
    return rows


class ModelRows:
    """Measures the rows of one model."""

    def __init__(self, target: Target, n: int) -> None:
        self.target, self._n = target, n
        self._loaded = load(target.weights)
        self._shape = DecoderShape.from_config(self._loaded.model.config)
        self._head = {"model": target.name, "weights": target.kind}

    def accuracy(self, name: str, searched: PruningConfig | None) -> list[dict[str, Any]]:
        """Return the rows of Table 1 on one benchmark."""
        configs = methods(self.target.fastv_k) | ({"found": searched} if searched else {})
        results = evaluations(self._loaded, [name], self._n, configs)[name]
        rows: list[dict[str, Any]] = []
        for method, result in results.items():
            config = configs[method]
            prompts = list(zip(result.image_tokens, result.text_tokens, strict=True))
            true = sum(flops(self._shape, *prompt, config) for prompt in prompts) / len(prompts)
            rows.append(
                {
                    **self._head,
                    "benchmark": name,
                    "method": method,
                    "configuration": config.as_dict(),
                    "paper_flops": sum(paper_flops(self._shape, n, config) for n, _ in prompts) / len(prompts),
                    "flops": true,
                    "ratio": true / rows[0]["flops"] if rows else 1.0,
                    **cell(self._shape, result, config),
                    "difference": vars(paired_difference(result.scores, results["dense"].scores)),
                }
            )
        return rows if searched else [*rows, {**self._head, "benchmark": name, "method": "found"}]

    def time(self) -> list[dict[str, Any]]:
        """Return the rows of Fig. 8."""
        scienceqa = benchmark("scienceqa")
        evaluator = Evaluator(self._loaded, scienceqa, embedded_questions(scienceqa, SPLIT, self._n))
        device = device_name(self._loaded.device)
        return [
            {**self._head, "method": method, "device": device, **measure(evaluator, config)[0].model_dump()}
            for method, config in methods(self.target.fastv_k).items()
        ]


def table_1(document: dict[str, Any]) -> str:
    """Return Table 1: FLOPs and accuracy."""
    head = ["model", "weights", "benchmark", "method", "Eq. 10", "true FLOPs", "ratio", "accuracy, %", "to dense"]
    lines = []
    for row in document["pairs"]:
        name = [row["model"], row["weights"], row["benchmark"], row["method"]]
        if "accuracy" in row:
            accuracy = f"{percent(row['accuracy'], row['low'], row['high'])} (n = {row['n']})"
            lines.append([*name, *_flops(row, 1e9, "G", 3), accuracy, percent(**row["difference"], sign=True)])
        else:
            lines.append([*name, *[NOT_MEASURED] * 5])
    full_weights = {row["model"] for row in document["pairs"] if row["weights"] == "full weights"}
    for row in document["full_size"]:
        accuracy = "above" if row["model"] in full_weights else NOT_MEASURED
        lines.append([row["model"], "full size", "any", row["method"], *_flops(row, 1e12, "T", 2), accuracy, accuracy])
    return markdown(head, lines)


def _flops(row: dict[str, Any], unit: float, name: str, digits: int) -> list[str]:
    costs = [f"{row[field] / unit:.{digits}f} {name}" for field in ("paper_flops", "flops")]
    return [*costs, f"{100 * row['ratio']:.0f} %"]


def figure_8(document: dict[str, Any]) -> str:
    """Return Fig. 8 as a table: time of the first new token."""
    head = ["model", "weights", "method", "ms an example", "dense", "speed-up [95 %]", "n", "device"]
    lines = []
    for row in document["time"]:
        times = [f"{row[side]:.1f}" for side in ("ms", "dense_ms")]
        speedup = f"{row['speedup']:.2f} [{row['speedup_low']:.2f}, {row['speedup_high']:.2f}]"
        name = [row["model"], row["weights"], row["method"]]
        lines.append([*name, *times, speedup, str(row["repeats"]), row["device"]])
    full_weights = {row["model"] for row in document["time"] if row["weights"] == "full weights"}
    missing = [name for name in PAPER_MODELS if name not in full_weights]
    lines += [[name, "full size", "dense, FastV, HiMAP", NOT_MEASURED, *[""] * 4] for name in missing]
    return f"{markdown(head, lines)}\n\nCommit {document['commit'] or 'unknown'}, {document['split']} questions."


def measured(options: argparse.Namespace, find: FindConfig) -> dict[str, Any]:
    """Measure all rows."""
    pairs: list[dict[str, Any]] = []
    time: list[dict[str, Any]] = []
    for model in options.model:
        rows = ModelRows(resolve(model, "auto"), options.n)
        for name in options.benchmark:
            pairs += rows.accuracy(name, find(rows.target, name))
        time += rows.time()
    return {"split": SPLIT, "commit": commit(), "pairs": pairs, "full_size": full_size(), "time": time}


def main(arguments: list[str] | None = None) -> int:
    """Print or write the tables; exit code 2 with one line on stderr for what cannot be measured."""
    parser = command.parser("bench.paper.tables", __doc__)
    parser.add_argument("--model", nargs="+", default=list(MODELS), metavar="NAME", help=f"default: {' '.join(MODELS)}")
    parser.add_argument("--benchmark", nargs="+", default=list(BENCHMARKS), metavar="NAME", help="default: all six")
    parser.add_argument("--n", type=int, default=500, help="test questions a benchmark (default 500)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--storage", metavar="URL", help="take what was found from this store")
    source.add_argument("--presets", type=Path, metavar="DIR", help="take what was found from these presets")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    parser.add_argument("--write", action="store_true", help="also write the tables into docs/results/paper.md")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # small matrices: one thread is as fast, and comparable with the search
    try:
        if options.n < 1:
            raise ObjectiveError(f"got --n {options.n}; expected at least 1")
        find = from_store(options.storage) if options.storage else from_presets(options.presets or Path("presets"))
        document = measured(options, find)
        command.show(document if options.json else f"{table_1(document)}\n\n{figure_8(document)}")
        if options.write:
            pages.write("paper", **{"table-1": table_1(document), "figure-8": figure_8(document)})
    except (ObjectiveError, HimapError, StorageError, UsageError, OSError, ValueError) as error:
        return command.fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
