"""Measure the accuracy of a model on a set of questions, dense or pruned by a preset.

python -m objectives.accuracy --model qwenvl --data questions.jsonl --metric exact_match
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import himap
from himap import PruningConfig
from himap.files import write_atomically
from objectives.benchmarks import EVERY_BENCHMARK
from objectives.data.source import QuestionSet, load_questions
from objectives.data.subsets import SPLITS
from objectives.errors import DataError
from objectives.json_files import json_text
from objectives.options import (
    add_dtype_option,
    add_json_option,
    add_model_options,
    add_source_options,
    check_json,
    command_parser,
    run_command,
    source_of,
    write_json,
)
from objectives.statistics.estimates import Comparison, compare

if TYPE_CHECKING:
    from objectives.evaluation.evaluator import Evaluation

_EMBEDDED = 200


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("objectives.accuracy", __doc__)
    add_model_options(parser)
    add_dtype_option(parser)
    parser.add_argument("--benchmark", default="", metavar="NAME", help=", ".join(EVERY_BENCHMARK))
    add_source_options(parser)
    parser.add_argument("--split", choices=[*SPLITS, "all"], help="default: all of a file, else test")
    parser.add_argument("--n", type=int, help=f"questions (default: all; {_EMBEDDED} of embedded scenes)")
    parser.add_argument("--preset", type=Path, metavar="YAML", help="prune by this preset, and compare with dense")
    parser.add_argument("--answers", type=Path, metavar="FILE", help="write every answer with its score")
    add_json_option(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for what cannot be measured."""
    options = parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    check_json(options.json)
    from objectives.evaluation.checkpoints import resolve  # after parsing: torch and transformers take seconds
    from objectives.evaluation.evaluator import Evaluator
    from objectives.evaluation.models import load

    weights = resolve(options.model, options.weights).weights
    question_set = _questions(options, weights)
    pruned = None if options.preset is None else himap.load_preset(options.preset)
    loaded = load(weights, dtype=options.dtype)
    evaluator = Evaluator(loaded, question_set.benchmark, question_set.questions)
    dense = evaluator.evaluate(PruningConfig.dense())
    evaluations = {"dense": dense}
    comparison = None
    if pruned is not None:
        evaluations["pruned"] = evaluator.evaluate(pruned)
        comparison = compare(evaluations["pruned"].scores, dense.scores)
    if options.answers:
        _write_answers(options.answers, question_set, evaluations)
    result = document(options.model, question_set, evaluations, comparison)
    write_json(options.json, result, _lines(result))
    return 0


def _questions(options: argparse.Namespace, weights: str) -> QuestionSet:
    if options.n is not None and options.n < 1:
        raise DataError(f"got --n {options.n}; expected at least 1")
    source = source_of(options, options.benchmark)
    from objectives.evaluation.prompt_check import PromptCheck

    split = options.split or ("all" if source.data else "test")
    n = options.n or (_EMBEDDED if source.embedded else None)
    return load_questions(source, split, n, PromptCheck(weights).problem)


def document(
    model: str, question_set: QuestionSet, evaluations: dict[str, Evaluation], comparison: Comparison | None
) -> dict[str, Any]:
    """Return the document that --json prints."""
    result: dict[str, Any] = {
        "model": model,
        "questions": question_set.key,
        "origin": question_set.origin,
        "n": len(question_set.questions),
        "skipped": [{"line": bad.line, "problem": bad.problem} for bad in question_set.skipped],
    }
    for name, evaluation in evaluations.items():
        span = evaluation.accuracy
        result[name] = {"accuracy": span.mean, "low": span.low, "high": span.high, "metrics": evaluation.metrics}
    if comparison:
        result["difference"] = {**asdict(comparison.difference), "p": comparison.p}
    return result


def _write_answers(path: Path, question_set: QuestionSet, evaluations: dict[str, Evaluation]) -> None:
    """Write one line for each question, in a form that `objectives.score` reads."""
    lines = []
    for name, evaluation in evaluations.items():
        for question, text, score in zip(question_set.questions, evaluation.answers, evaluation.scores, strict=True):
            row = {"question_id": question.id, "category": question.category, "text": text, "score": score}
            lines.append(json_text({"configuration": name, **row}) + "\n")
    write_atomically(path, "".join(lines))


def _lines(result: dict[str, Any]) -> str:
    lines = [f"{result['n']} questions of {result['origin']}"]
    lines += [f"left out {len(result['skipped'])} rows that cannot be used"] if result["skipped"] else []
    for name in ("dense", "pruned"):
        if name in result:
            row = result[name]
            span = f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
            lines.append(f"{name:8} {100 * row['accuracy']:5.1f} {span}")
    if "difference" in result:
        difference = result["difference"]
        p = "" if difference["p"] is None else f", McNemar p = {difference['p']:.3g}"
        span = f"[{100 * difference['low']:+.1f}, {100 * difference['high']:+.1f}]"
        lines.append(f"pruned - dense {100 * difference['mean']:+.1f} {span}{p}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
