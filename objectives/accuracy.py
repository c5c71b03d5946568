"""Measure the accuracy of a model on a set of questions, dense or pruned by a preset.

python -m objectives.accuracy --model qwenvl --data questions.jsonl --metric exact_match
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import himap
from himap import PruningConfig
from objectives.benchmarks import EVERY_BENCHMARK
from objectives.data.source import QuestionSet, load_questions
from objectives.data.subsets import SPLITS
from objectives.errors import DataError
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.evaluator import Evaluation, Evaluator
from objectives.evaluation.models import load
from objectives.options import (
    add_json_option,
    add_model_options,
    add_source_options,
    command_parser,
    run_command,
    source_of,
)
from objectives.statistics.estimates import Comparison, compare

_EMBEDDED = 200


def parser() -> argparse.ArgumentParser:
    made = command_parser("objectives.accuracy", __doc__)
    add_model_options(made)
    made.add_argument("--benchmark", default="", metavar="NAME", help=", ".join(EVERY_BENCHMARK))
    add_source_options(made)
    made.add_argument("--split", choices=[*SPLITS, "all"], help="default: all of a file, else test")
    made.add_argument("--n", type=int, help=f"questions (default: all; {_EMBEDDED} of embedded scenes)")
    made.add_argument("--preset", type=Path, metavar="YAML", help="prune by this preset, and compare with dense")
    made.add_argument("--answers", type=Path, metavar="FILE", help="write every answer with its score")
    add_json_option(made)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for what cannot be measured."""
    options = parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    asked = _questions(options)
    pruned = None if options.preset is None else himap.load_preset(options.preset)
    evaluator = Evaluator(load(resolve(options.model, options.weights).weights), asked.benchmark, asked.questions)
    dense = evaluator.evaluate(PruningConfig.dense())
    results = {"dense": dense}
    comparison = None
    if pruned is not None:
        results["pruned"] = evaluator.evaluate(pruned)
        comparison = compare(results["pruned"].scores, dense.scores)
    if options.answers:
        _write_answers(options.answers, asked, results)
    found = document(options.model, asked, results, comparison)
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if options.json else _lines(found))
    return 0


def _questions(options: argparse.Namespace) -> QuestionSet:
    if options.n is not None and options.n < 1:
        raise DataError(f"got --n {options.n}; expected at least 1")
    source = source_of(options, options.benchmark)
    split = options.split or ("all" if source.data else "test")
    return load_questions(source, split, options.n or (_EMBEDDED if source.embedded else None))


def document(
    model: str, asked: QuestionSet, results: dict[str, Evaluation], comparison: Comparison | None
) -> dict[str, Any]:
    """The results as JSON."""
    found: dict[str, Any] = {
        "model": model,
        "questions": asked.key,
        "origin": asked.origin,
        "n": len(asked.questions),
        "skipped": [{"line": bad.line, "problem": bad.problem} for bad in asked.skipped],
    }
    for name, result in results.items():
        span = result.accuracy
        found[name] = {"accuracy": span.mean, "low": span.low, "high": span.high, "metrics": result.metrics}
    if comparison:
        change = comparison.difference
        found["difference"] = {"mean": change.mean, "low": change.low, "high": change.high, "p": comparison.p}
    return found


def _write_answers(path: Path, asked: QuestionSet, results: dict[str, Evaluation]) -> None:
    """One line a question, in a form that `objectives.score` reads."""
    with path.open("w", encoding="utf-8") as file:
        for name, result in results.items():
            for question, text, score in zip(asked.questions, result.answers, result.scores, strict=True):
                row = {"question_id": question.id, "category": question.category, "text": text, "score": score}
                file.write(json.dumps({"configuration": name, **row}) + "\n")


def _lines(found: dict[str, Any]) -> str:
    lines = [f"{found['n']} questions of {found['origin']}"]
    lines += [f"left out {len(found['skipped'])} rows that cannot be used"] if found["skipped"] else []
    for name in ("dense", "pruned"):
        if name in found:
            each = found[name]
            span = f"[{100 * each['low']:.1f}, {100 * each['high']:.1f}]"
            lines.append(f"{name:8} {100 * each['accuracy']:5.1f} {span}")
    if "difference" in found:
        change = found["difference"]
        p = "" if change["p"] is None else f", McNemar p = {change['p']:.3g}"
        span = f"[{100 * change['low']:+.1f}, {100 * change['high']:+.1f}]"
        lines.append(f"pruned - dense {100 * change['mean']:+.1f} {span}{p}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
