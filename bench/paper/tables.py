"""The paper's Table 1 and Fig. 8 for our pairs: FLOPs and accuracy, and time, dense, FastV, HiMAP and found.

    python -m bench.paper.tables --storage sqlite:///himap.db

"Found" is what a search chose on validation questions: from a store, or from a folder of presets. Accuracy
is measured here on test questions, which no search has seen, with the paired 95 % interval of its difference
to dense. Full-size models: FLOPs always; accuracy and time only where their weights and a GPU are here,
otherwise "not measured". Time is that of the first new token of one prompt, image features at hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from himap import HimapError, PruningConfig, read_preset
from objectives.benchmarks import BENCHMARKS, benchmark
from objectives.data.embedded import embedded_questions
from objectives.errors import ObjectiveError
from objectives.evaluation.checkpoints import Target, resolve
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.latency import device_name, measure
from objectives.evaluation.models import LoadedModel, load
from objectives.flops import DecoderShape, flops, paper_flops
from objectives.flops.__main__ import PAPER_TEXT
from objectives.flops.shapes import FULL_SIZE
from objectives.provenance import commit
from objectives.statistics.estimates import paired_difference
from search.errors import UsageError
from search.reporting.report import chosen
from storage import StorageError, open_store

SPLIT, MODELS = "test", ("qwenvl", "llava-7b")
PAPER_MODELS = {"llava-7b": 2, "llava-13b": 3, "qwenvl-7b": 2}  # FastV's K
NOT_MEASURED = "not measured"

Found = Callable[[Target, str], PruningConfig | None]


def methods(fastv_k: int) -> dict[str, PruningConfig]:
    return {"dense": PruningConfig.dense(), "FastV": PruningConfig.fastv(fastv_k), "HiMAP": PruningConfig.paper()}


def from_store(url: str) -> Found:
    """What the searches in a store chose; only those on the same weights count."""
    with open_store(url, readonly=True) as store:
        best = {
            (s.key.model, s.key.questions, s.key.weights_digest): chosen(store.trials(s.id))
            for s in store.studies()
            if s.complete
        }

    def find(target: Target, name: str) -> PruningConfig | None:
        trial = best.get((target.name, name, target.digest))
        return trial and trial.config

    return find


def from_presets(folder: Path) -> Found:
    """The presets MODEL-BENCHMARK.yaml of a folder; only those found on the same weights count."""

    def find(target: Target, name: str) -> PruningConfig | None:
        path = folder / f"{target.name}-{name}.yaml"
        preset = read_preset(path) if path.exists() else None
        same = preset is not None and preset.model.weights_digest == target.digest
        return preset.config if preset and same else None

    return find


def full_size() -> list[dict[str, Any]]:
    """FLOPs of the paper's models; Eq. 10 by the sizes that the paper used, see docs/flops.md."""
    found = []
    for name, fastv_k in PAPER_MODELS.items():
        known = FULL_SIZE[name]
        paper_shape, paper_n = known.paper or (known.shape, known.image_tokens)
        dense = flops(known.shape, known.image_tokens, PAPER_TEXT, PruningConfig.dense())
        for method, config in methods(fastv_k).items():
            true = flops(known.shape, known.image_tokens, PAPER_TEXT, config)
            found.append(
                {
                    "model": name,
                    "method": method,
                    "paper_flops": paper_flops(paper_shape, paper_n, config),
                    "flops": true,
                    "ratio": true / dense,
                }
            )
    return found


class Pairs:
    """One model on its benchmarks: accuracy on test questions, and time."""

    def __init__(self, target: Target, n: int) -> None:
        self.target, self._n = target, n
        self.loaded: LoadedModel = load(target.weights)
        self.shape = DecoderShape.from_config(self.loaded.model.config)

    def accuracy(self, name: str, found: PruningConfig | None) -> list[dict[str, Any]]:
        """Rows of one benchmark."""
        asked = benchmark(name)
        evaluator = Evaluator(self.loaded, asked, embedded_questions(asked, SPLIT, self._n))
        configs = methods(self.target.fastv_k) | ({"found": found} if found else {})
        rows: list[dict[str, Any]] = []
        dense = None
        for method, config in configs.items():
            result = evaluator.evaluate(config)
            dense = dense or result
            change = paired_difference(result.scores, dense.scores)
            prompts = list(zip(result.image_tokens, result.text_tokens, strict=True))
            count = len(prompts)
            true = sum(flops(self.shape, *prompt, config) for prompt in prompts) / count
            rows.append(
                {
                    "model": self.target.name,
                    "weights": self.target.kind,
                    "benchmark": name,
                    "method": method,
                    "configuration": config.as_dict(),
                    "n": count,
                    "paper_flops": sum(paper_flops(self.shape, n, config) for n, _ in prompts) / count,
                    "flops": true,
                    "ratio": true / rows[0]["flops"] if rows else 1.0,
                    "accuracy": result.accuracy.mean,
                    "low": result.accuracy.low,
                    "high": result.accuracy.high,
                    "difference": {"mean": change.mean, "low": change.low, "high": change.high},
                }
            )
        if not found:
            rows.append({"model": self.target.name, "weights": self.target.kind, "benchmark": name, "method": "found"})
        return rows

    def time(self, repeats: int) -> list[dict[str, Any]]:
        """Rows of Fig. 8."""
        asked = benchmark("scienceqa")
        evaluator = Evaluator(self.loaded, asked, embedded_questions(asked, SPLIT, repeats))
        rows: list[dict[str, Any]] = []
        for method, config in methods(self.target.fastv_k).items():
            each = measure(evaluator, config, repeats)
            rows.append(
                {
                    "model": self.target.name,
                    "weights": self.target.kind,
                    "method": method,
                    "device": device_name(self.loaded.device),
                    "n": each.n,
                    "ms": each.median,
                    "low": each.low,
                    "high": each.high,
                    "speedup": rows[0]["ms"] / each.median if rows else 1.0,
                }
            )
        return rows


def table_1(document: dict[str, Any]) -> str:
    head = "| model | weights | benchmark | method | Eq. 10 | true FLOPs | ratio | accuracy, % | to dense |"
    lines = [head, "|" + " --- |" * 9]
    for row in document["pairs"]:
        what = f"| {row['model']} | {row['weights']} | {row['benchmark']} | {row['method']} |"
        if "accuracy" not in row:
            lines.append(f"{what} {' | '.join([NOT_MEASURED] * 5)} |")
            continue
        span = f"{100 * row['accuracy']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}] (n = {row['n']})"
        change = row["difference"]
        less = f"{100 * change['mean']:+.1f} [{100 * change['low']:+.1f}, {100 * change['high']:+.1f}]"
        cost = f"{row['paper_flops'] / 1e9:.3f} G | {row['flops'] / 1e9:.3f} G | {100 * row['ratio']:.0f} %"
        lines.append(f"{what} {cost} | {span} | {less} |")
    measured = {row["model"] for row in document["pairs"] if row["weights"] == "full weights"}
    for row in document["full_size"]:
        accuracy = "above" if row["model"] in measured else NOT_MEASURED
        cost = f"{row['paper_flops'] / 1e12:.2f} T | {row['flops'] / 1e12:.2f} T | {100 * row['ratio']:.0f} %"
        lines.append(f"| {row['model']} | full size | any | {row['method']} | {cost} | {accuracy} | {accuracy} |")
    return "\n".join(lines)


def figure_8(document: dict[str, Any]) -> str:
    head = "| model | weights | method | ms an example [quartiles] | speed-up | n | device |"
    lines = [head, "|" + " --- |" * 7]
    for row in document["time"]:
        span = f"{row['ms']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
        lines.append(
            f"| {row['model']} | {row['weights']} | {row['method']} | {span} | {row['speedup']:.2f} | "
            f"{row['n']} | {row['device']} |"
        )
    timed = {row["model"] for row in document["time"] if row["weights"] == "full weights"}
    for name in PAPER_MODELS:
        if name not in timed:
            lines.append(f"| {name} | full size | dense, FastV, HiMAP | {NOT_MEASURED} | | | |")
    return "\n".join(lines)


def document(options: argparse.Namespace, found: Found) -> dict[str, Any]:
    pairs: list[dict[str, Any]] = []
    time: list[dict[str, Any]] = []
    steps = len(options.model) * (len(options.benchmark) + 1)
    with tqdm(total=steps, desc="tables", disable=None) as bar:
        for name in options.model:
            each = Pairs(resolve(name, "auto"), options.n)
            for asked in options.benchmark:
                pairs += each.accuracy(asked, found(each.target, asked))
                bar.update()
            time += each.time(options.repeats)
            bar.update()
    return {"split": SPLIT, "commit": commit(), "pairs": pairs, "full_size": full_size(), "time": time}


def parser() -> argparse.ArgumentParser:
    summary, _, details = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="python -m bench.paper.tables",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--model", nargs="+", default=list(MODELS), metavar="NAME", help=f"default: {' '.join(MODELS)}")
    made.add_argument("--benchmark", nargs="+", default=list(BENCHMARKS), metavar="NAME", help="default: all six")
    made.add_argument("--n", type=int, default=500, help="test questions a benchmark (default 500)")
    made.add_argument("--repeats", type=int, default=20, help="timed prompts (default 20)")
    source = made.add_mutually_exclusive_group()
    source.add_argument("--storage", metavar="URL", help="take what was found from this store")
    source.add_argument("--presets", type=Path, metavar="DIR", help="take what was found from these presets")
    made.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line on stderr for what cannot be measured."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)  # small matrices: one thread is as fast, and comparable with the search
    try:
        if min(options.n, options.repeats) < 1:
            raise ObjectiveError(f"got --n {options.n}, --repeats {options.repeats}; expected at least 1")
        found = from_store(options.storage) if options.storage else from_presets(options.presets or Path("presets"))
        made = document(options, found)
    except (ObjectiveError, HimapError, StorageError, UsageError, OSError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 2
    tables = f"{table_1(made)}\n\n{figure_8(made)}\n\nCommit {made['commit'] or 'unknown'}, {SPLIT} questions.\n"
    sys.stdout.write(json.dumps(made, indent=2) + "\n" if options.json else tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
