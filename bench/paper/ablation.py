"""Measure the paper's ablation: which cut, ranked by which criterion, beside controls of equal token counts.

    python -m bench.paper.ablation --model qwenvl --write

Accuracy on test questions of the embedded benchmarks, and its paired difference to no pruning with a 95 %
bootstrap interval. Prints a Markdown table, or all figures with --json; --write puts the table into
docs/results/ablation.md.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

from bench import command
from bench.docs import pages
from bench.measuring import provenance
from himap import HimapError, PruningConfig
from minis.evaluate import SPLIT, cell, evaluations
from minis.tables import markdown as table
from minis.tables import percent
from objectives.benchmarks import BENCHMARKS, benchmark
from objectives.errors import ObjectiveError
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.known_models import KNOWN
from objectives.evaluation.models import LoadedModel, load
from objectives.flops import DecoderShape
from objectives.statistics.estimates import paired_difference

DENSE = "no pruning"


def rows(full: PruningConfig) -> dict[str, PruningConfig]:
    """Return the paper's five rows, and controls that drop as many tokens at the same layers."""

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
    """Measure every row on the first `n` test questions of every benchmark, and on all of them together."""
    shape, configs = DecoderShape.from_config(loaded.model.config), rows(full)
    results = evaluations(loaded, names, n, configs)
    cells: dict[str, dict[str, Any]] = {}
    for row, config in configs.items():
        cells[row] = {
            name: {
                **cell(shape, results[name][row], config),
                "difference": vars(paired_difference(results[name][row].scores, results[name][DENSE].scores)),
                **_tokens(results[name][row].image_tokens, config),
            }
            for name in names
        }
        scores, dense = ([s for name in names for s in results[name][r].scores] for r in (row, DENSE))
        cells[row]["all"] = {
            "n": len(scores),
            "accuracy": _mean(scores),
            "difference": vars(paired_difference(scores, dense)),
            "flops_ratio": _mean([cells[row][name]["flops_ratio"] for name in names]),
        }
    origin = {"split": SPLIT, "setting": full.as_dict(), "weights_digest": loaded.digest}
    return {**origin, **provenance(loaded.device), "rows": cells}


def _tokens(image_tokens: tuple[int, ...], config: PruningConfig) -> dict[str, float]:
    after_k1, after_k2 = zip(*map(config.kept, image_tokens), strict=True)
    return {"image_tokens": _mean(image_tokens), "after_k1": _mean(after_k1), "after_k2": _mean(after_k2)}


def _mean(values: tuple[int, ...] | list[float]) -> float:
    return sum(values) / len(values)


def markdown(document: dict[str, Any]) -> str:
    """Return the accuracy of no pruning in %, and every other row's difference to it in points."""
    lines = []
    for row, cells in document["rows"].items():
        accuracies = [f"{100 * c['accuracy']:.1f}" for c in cells.values()]
        differences = [percent(**c["difference"], sign=True) for c in cells.values()]
        shown = accuracies if row == DENSE else differences
        lines.append([row, *shown, f"{100 * cells['all']['flops_ratio']:.0f} %"])
    dense, setting = document["rows"][DENSE], document["setting"]
    cut = f"({setting['k1']}, {setting['r1']:g} %, {setting['k2']}, {setting['r2']:g} %)"
    n = min(c["n"] for c in dense.values())
    return (
        f"{table(['row', *dense, 'FLOPs'], lines)}\n\n"
        f"Measured: {document['model']} ({document['weights_digest'][:8]}), cuts {cut}, n = {n} test questions a "
        f"benchmark; {document['device']}; commit {document['commit'] or 'unknown'}. Below the first row: points above "
        "or below it."
    )


def main(arguments: list[str] | None = None) -> int:
    """Print or write the table; exit code 2 with one line on stderr for what cannot be measured."""
    parser = command.parser("bench.paper.ablation", __doc__)
    parser.add_argument("--model", required=True, help=f"{', '.join(KNOWN)} (their minis), or a folder")
    parser.add_argument("--benchmark", nargs="+", default=list(BENCHMARKS), metavar="NAME", help="default: all six")
    parser.add_argument("--n", type=int, default=500, help="test questions a benchmark (default 500)")
    for name, kind, value in (("k1", int, 2), ("r1", float, 50), ("k2", int, 8), ("r2", float, 75)):
        parser.add_argument(f"--{name}", type=kind, default=value, metavar="N", help=f"default {value}, the paper's")
    parser.add_argument("--json", action="store_true", help="print JSON, and the table on stderr")
    parser.add_argument("--write", action="store_true", help="also write the table into docs/results/ablation.md")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # small matrices: one thread is as fast, and comparable with the search
    try:
        if options.n < 1:
            raise ObjectiveError(f"got --n {options.n}; expected at least 1")
        full = PruningConfig(options.k1, options.r1, options.k2, options.r2)
        for name in options.benchmark:
            benchmark(name)
        target = resolve(options.model, "mini" if options.model in KNOWN else "auto")
        document = ablation(load(target.weights), options.benchmark, options.n, full)
        document = {"model": options.model, **document}
        command.show(document if options.json else markdown(document))
        if options.json:
            sys.stderr.write(markdown(document) + "\n")
        if options.write:
            harder = "" if full == PruningConfig.paper() else "-hard"
            pages.write("ablation", **{f"{options.model}{harder}": markdown(document)})
    except (ObjectiveError, HimapError, OSError, ValueError) as error:
        return command.fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
