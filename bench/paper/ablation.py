"""The paper's ablation on the embedded pairs: which cut, ranked by what, beside chance at equal token counts.

    python -m bench.paper.ablation --model qwenvl --json

Accuracy on test questions, and its paired difference to no pruning with a 95 % bootstrap interval. Prints a
markdown table; with --json the JSON document, and the table on stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import torch
from tqdm import tqdm

from himap import HimapError, PruningConfig
from objectives.benchmarks import BENCHMARKS, benchmark
from objectives.data.embedded import embedded_questions
from objectives.errors import ObjectiveError
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.evaluator import Evaluation, Evaluator
from objectives.evaluation.known_models import KNOWN
from objectives.evaluation.latency import device_name
from objectives.evaluation.models import LoadedModel, load
from objectives.flops import DecoderShape, flops_ratio
from objectives.provenance import commit, versions
from objectives.statistics.estimates import Interval, paired_difference

SPLIT = "test"
DENSE = "no pruning"


def rows(full: PruningConfig) -> dict[str, PruningConfig]:
    """The paper's five rows, and the controls that drop as many tokens at the same layers."""

    def cut(shallow: str, deep: str | None = None) -> PruningConfig:
        r2 = full.r2 if deep else 0
        return PruningConfig(full.k1, full.r1, full.k2, r2, shallow, deep or "intra_column")

    return {
        DENSE: PruningConfig.dense(),
        "shallow cut by φ_sh": cut("instruction"),
        "shallow cut by φ_dp": cut("intra_column"),
        "shallow cut, random": cut("random"),
        "shallow cut, uniform": cut("uniform"),
        "both cuts by φ_sh": cut("instruction", "instruction"),
        "HiMAP: φ_sh, then φ_dp": cut("instruction", "intra_column"),
        "both cuts, random": cut("random", "random"),
        "both cuts, uniform": cut("uniform", "uniform"),
    }


def ablation(loaded: LoadedModel, names: list[str], n: int, full: PruningConfig) -> dict[str, Any]:
    """Every row on the first `n` test questions of every benchmark, and on all of them together."""
    shape = DecoderShape.from_config(loaded.model.config)
    configs = rows(full)
    cells: dict[str, dict[str, Any]] = {row: {} for row in configs}
    pooled: dict[str, list[float]] = {row: [] for row in configs}
    with tqdm(total=len(names) * len(configs), desc="ablation", disable=None) as bar:
        for name in names:
            questions = embedded_questions(benchmark(name), SPLIT, n)
            evaluator = Evaluator(loaded, benchmark(name), questions)
            dense: Evaluation | None = None
            for row, config in configs.items():
                result = evaluator.evaluate(config)
                dense = dense or result
                share = flops_ratio(shape, result.image_tokens, result.text_tokens, config)
                cells[row][name] = _cell(result, dense, share)
                pooled[row] += result.scores
                bar.update()
    for row, scores in pooled.items():
        together = paired_difference(scores, pooled[DENSE])
        shares = [cell["flops_ratio"] for cell in cells[row].values()]
        cells[row]["all"] = {
            "n": len(scores),
            "accuracy": sum(scores) / len(scores),
            "difference": _plain(together),
            "flops_ratio": sum(shares) / len(shares),
        }
    return {
        "split": SPLIT,
        "setting": full.as_dict(),
        "weights_digest": loaded.digest,
        "device": device_name(loaded.device),
        "commit": commit(),
        "versions": versions(),
        "rows": cells,
    }


def _cell(result: Evaluation, dense: Evaluation, share: float) -> dict[str, Any]:
    return {
        "n": len(result.scores),
        "accuracy": result.accuracy.mean,
        "low": result.accuracy.low,
        "high": result.accuracy.high,
        "difference": _plain(paired_difference(result.scores, dense.scores)),
        "flops_ratio": share,
        "image_tokens": _mean(result.image_tokens),
        "after_k1": _mean(result.after_k1),
        "after_k2": _mean(result.after_k2),
    }


def _mean(counts: tuple[int, ...]) -> float:
    return sum(counts) / len(counts)


def _plain(interval: Interval) -> dict[str, float]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def markdown(document: dict[str, Any]) -> str:
    """Accuracy of no pruning in %, of every other row its difference in points with the 95 % interval."""
    names = list(document["rows"][DENSE])
    head = ["row", *names, "FLOPs"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row, cells in document["rows"].items():
        shown = [_shown(cell, row == DENSE) for cell in cells.values()]
        lines.append(f"| {row} | {' | '.join(shown)} | {100 * cells['all']['flops_ratio']:.0f} % |")
    setting, counts = document["setting"], sorted({c["n"] for c in document["rows"][DENSE].values()})
    cut = f"({setting['k1']}, {setting['r1']:g} %, {setting['k2']}, {setting['r2']:g} %)"
    origin = (
        f"{document['model']} ({document['weights_digest'][:8]}), cuts {cut}, n = {counts[0]} test questions "
        f"a benchmark; {document['device']}; commit {document['commit'] or 'unknown'}."
    )
    return "\n".join([*lines, "", f"Measured: {origin} Below the first row: points above or below it."])


def _shown(cell: dict[str, Any], dense: bool) -> str:
    if dense:
        return f"{100 * cell['accuracy']:.1f}"
    each = cell["difference"]
    return f"{100 * each['mean']:+.1f} [{100 * each['low']:+.1f}, {100 * each['high']:+.1f}]"


def parser() -> argparse.ArgumentParser:
    summary, _, details = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="python -m bench.paper.ablation",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--model", required=True, help=f"{', '.join(KNOWN)} (their minis), or a folder")
    made.add_argument("--benchmark", nargs="+", default=list(BENCHMARKS), metavar="NAME", help="default: all six")
    made.add_argument("--n", type=int, default=500, help="test questions a benchmark (default 500)")
    for name, kind, value in (("k1", int, 2), ("r1", float, 50), ("k2", int, 8), ("r2", float, 75)):
        made.add_argument(f"--{name}", type=kind, default=value, metavar="N", help=f"default {value}, the paper's")
    made.add_argument("--json", action="store_true", help="print JSON, and the table on stderr")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line on stderr for what cannot be measured."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)  # small matrices: one thread is as fast, and comparable with the search
    try:
        if options.n < 1:
            raise ObjectiveError(f"got --n {options.n}; expected at least 1")
        full = PruningConfig(options.k1, options.r1, options.k2, options.r2)
        for name in options.benchmark:
            benchmark(name)
        target = resolve(options.model, "mini" if options.model in KNOWN else "auto")
        document = ablation(load(target.weights), options.benchmark, options.n, full)
    except (ObjectiveError, HimapError, OSError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 2
    document = {"model": options.model, **document}
    if options.json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        sys.stderr.write(markdown(document) + "\n")
    else:
        sys.stdout.write(markdown(document) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
