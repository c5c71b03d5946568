"""Measure where visual information flows in a model: saliency by layer, and the effect of blocking a flow.

  python -m objectives.flow --model qwenvl --benchmark scienceqa --n 200

For every benchmark it stores a JSON file (docs/flow.md describes it), draws it as PNG and SVG and prints a table.
You can stop it at any time; run the same command again to resume.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from objectives.benchmarks import EVERY_BENCHMARK
from objectives.data.source import Source, load_questions
from objectives.errors import ObjectiveError
from objectives.evaluation.checkpoints import Target, resolve
from objectives.evaluation.latency import device_name
from objectives.evaluation.models import LoadedModel, load
from objectives.evaluation.prompt_check import PromptCheck
from objectives.flow import figures, results
from objectives.flow.measure import FlowMeasurement
from objectives.flow.prompts import Prompts
from objectives.flow.suggest import ranges, suggest
from objectives.flow.summary import summary
from objectives.options import (
    add_bad_option,
    add_json_option,
    add_model_options,
    check_json,
    command_parser,
    run_command,
    write_json,
)
from objectives.provenance import commit, versions

SPLIT = "validation"  # as in a search, so that suggestions from the flow never see the test split
PAPER = ("scienceqa", "aokvqa", "nocaps", "flickr30k")


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("objectives.flow", __doc__)
    add_model_options(parser)
    parser.add_argument(
        "--benchmark",
        nargs="+",
        default=list(PAPER),
        metavar="NAME",
        help=f"some of {', '.join(EVERY_BENCHMARK)} (default: {' '.join(PAPER)}, as in the paper)",
    )
    parser.add_argument("--n", type=int, default=200, help="questions a benchmark (default 200)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="the benchmarks' official files")
    add_bad_option(parser)
    parser.add_argument("--out", type=Path, default=Path("flow"), metavar="DIR", help="default: flow")
    add_json_option(parser)
    return parser


def measure(loaded: LoadedModel, target: Target, source: Source, n: int, out: Path) -> dict[str, Any]:
    """Measure what is not stored yet of one model on one benchmark, store and draw it; return the document."""
    question_set = load_questions(source, SPLIT, n, PromptCheck(target.weights).problem)
    key = {
        "model": target.name,
        "weights_digest": loaded.digest,
        "benchmark": question_set.key,
        "split": SPLIT,
        "n": len(question_set.questions),
    }
    path, document = results.start(out, key)
    if document["complete"]:
        return document
    prompts = Prompts(loaded, question_set.benchmark, question_set.questions)
    measured = FlowMeasurement(prompts, document["record"])
    with tqdm(
        total=measured.total, initial=measured.done, desc=f"{target.name} {question_set.key}", disable=None
    ) as bar:

        def save() -> None:
            results.write(path, document)
            bar.update(measured.done - bar.n)

        measured.run(save)
    document |= {
        "complete": True,
        "title": question_set.benchmark.title,
        "weights": target.kind,
        "questions": question_set.origin,
        "skipped": [{"line": bad.line, "problem": bad.problem} for bad in question_set.skipped],
        "device": device_name(*loaded.devices),
        "commit": commit(),
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "summary": summary(measured.record),
    }
    results.write(path, document)
    figures.draw(document, path.with_suffix(""))
    return document


def table(document: dict[str, Any]) -> str:
    """Return the summary as lines of text."""
    summary_, key = document["summary"], document["key"]
    lines = [
        f"{key['model']} / {key['benchmark']}: {key['n']} {key['split']} questions of "
        f"{document['questions']}, {document['weights']} {key['weights_digest'][:8]}, {document['device']}",
        f"{'layer':>5}{'S_sys':>10}{'S_img':>10}{'S_ins':>10}{'S_vv':>10}{'S_vt':>10}"
        f"   same answer with vt, vv, random blocked   D [95 %]",
    ]
    layers = [row for row in summary_["disruption"] if row["where"] == "layer"]
    for layer in range(summary_["layers"]):
        sums = [summary_["saliency"][name][layer]["mean"] for name in summary_["saliency"]]
        same = [row["consistency"]["mean"] for row in layers if row["layers"] == [layer]]
        shown = "".join(f"{value:10.2e}" for value in sums)
        lines.append(f"{layer:5}{shown}   {'  '.join(f'{100 * v:5.1f}' for v in same):39}{_ratio(summary_, layer)}")
    for row in summary_["disruption"]:
        if row["where"] != "layer":
            which = row["where"] if row["where"] == "all" else f"{row['where']} {len(row['layers'])}"
            cells = ", ".join(
                f"{what} {_percent(row[name])}"
                for what, name in (("same answer", "consistency"), ("top-5", "jaccard"), ("accuracy", "accuracy"))
            )
            lines.append(f"{row['flow']:15} blocked in {which:8} {cells}")
    lines += [f"{row['verdict']:10} {row['claim']}{_evidence(row)}" for row in summary_["hypotheses"]]
    where = ranges(document)
    lines.append(f"suggested: K1 from {where.k1[0]} to {where.k1[1]}, K2 from {where.k2[0]} to {where.k2[1]}")
    for config in suggest(document):
        lines.append(f"  ({config.k1}, {config.r1:g} %, {config.k2}, {config.r2:g} %)")
    return "\n".join(lines) + "\n"


def _ratio(summary_: dict[str, Any], layer: int) -> str:
    ratio = summary_["bias_ratio"][layer]
    return f"{ratio['mean']:+.2f} [{ratio['low']:+.2f}, {ratio['high']:+.2f}]" if ratio else "no effect"


def _percent(rate: dict[str, float]) -> str:
    return f"{100 * rate['mean']:.1f} [{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]"


def _evidence(row: dict[str, Any]) -> str:
    where = f" (layers {row['layers'][0]} to {row['layers'][1]})" if row["layers"] else ""
    if "difference" in row:
        value = row["difference"]
        return f"{where}: difference {value['mean']:+.2e} [{value['low']:+.2e}, {value['high']:+.2e}]"
    return f"{where}: {row['agreeing']} of {row['of']} layers clearly so, {row['disagreeing']} clearly not"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for what cannot be measured, or 130 when stopped."""
    options = parser().parse_args(arguments)
    return run_command(lambda: _run(options), stopped="stopped; run the same command again to resume")


def _run(options: argparse.Namespace) -> int:
    if options.n < 2:
        raise ObjectiveError(f"got --n {options.n}; expected at least 2 questions, which intervals need")
    check_json(options.json)
    figures.check_matplotlib()
    target = resolve(options.model, options.weights)
    if target.kind == "embedded mini":
        torch.set_num_threads(1)  # small matrices: one thread is as fast, and comparable with the search
    loaded = load(target.weights)
    documents = []
    for benchmark in options.benchmark:
        source = Source(benchmark, data_root=options.data_root, skip_bad=options.on_bad == "skip")
        documents.append(measure(loaded, target, source, options.n, options.out))
        if not options.json:
            sys.stdout.write(table(documents[-1]) + "\n")
    write_json(options.json, [{name: value for name, value in d.items() if name != "record"} for d in documents])
    return 0


if __name__ == "__main__":
    sys.exit(main())
