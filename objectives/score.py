"""Scores answers that were made elsewhere by a benchmark's official rules.

    python -m objectives.score --benchmark mme --answers answers.jsonl --truth eval_tool/truth --json

Answers may be in LLaVA's form (JSON lines with question_id, prompt and text), in lmms-eval's (its samples
file), or in that of the benchmark's own tool. The truth is the benchmark's official files: the folder, or the
annotation file. It may be left out where the answers carry it, as lmms-eval's do.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from objectives.benchmarks import EVERY_BENCHMARK, PublishedBenchmark, Question, benchmark
from objectives.benchmarks.rules.ptb import tokenizer_in_use
from objectives.errors import DataError
from objectives.options import add_json_option, command_parser, run_command
from objectives.statistics.estimates import interval
from objectives.submissions.answers import Answer, read_answers
from objectives.submissions.matching import match

_BY_CATEGORY = ("pope", "mme")  # their tools score category by category; one without answers is left out
_NEEDS_ALL = ("pope",)  # whose rule reads an empty answer as yes


@dataclass(frozen=True)
class Score:
    """A benchmark's official figures over `n` questions, of which `unanswered` counted as wrong; `unmatched`
    answers were to none of them. `low` and `high` bound the accuracy at 95 %."""

    benchmark: str
    metrics: dict[str, float]
    low: float
    high: float
    n: int
    unanswered: int
    unmatched: int
    notes: list[str] = field(default_factory=list)


def score(chosen: PublishedBenchmark, answers: Path, truth: Path | None) -> Score:
    """Scores the answers in a file.

    Raises:
        DataError: a file cannot be used, or the answers are not to these questions.
    """
    given = read_answers(answers, chosen.name)
    questions = _carried(chosen, given, answers) if truth is None else _read(chosen, truth)
    found = match(chosen, questions, given)
    matched = sum(answer is not None for answer in found)
    if chosen.name in _BY_CATEGORY:
        answered = {q.category for q, answer in zip(questions, found, strict=True) if answer is not None}
        kept = [(q, a) for q, a in zip(questions, found, strict=True) if q.category in answered]
        questions, found = [q for q, _ in kept], [a for _, a in kept]
    missing = sum(answer is None for answer in found)
    if missing and chosen.name in _NEEDS_ALL:
        raise DataError(f"{answers} answers {matched} of {len(found)} questions; {chosen.title} needs all")
    texts = [answer or "" for answer in found]
    bounds = interval(chosen.scores(questions, texts), graded=chosen.graded)
    notes = [f"tokens by {tokenizer_in_use()}"] if chosen.graded else []
    unmatched = max(0, len(given) - matched)
    return Score(
        chosen.name, chosen.metrics(questions, texts), bounds.low, bounds.high, len(texts), missing, unmatched, notes
    )


def _read(chosen: PublishedBenchmark, truth: Path) -> list[Question]:
    if not truth.exists():
        raise DataError(f"there is no {truth}; expected {chosen.title}'s official files")
    try:
        questions = chosen.official(truth)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise DataError(f"{truth} is not in the form of {chosen.title}'s official files ({reason})") from error
    if not questions:
        raise DataError(f"{truth} holds no questions")
    return questions


def _carried(chosen: PublishedBenchmark, given: Sequence[Answer], path: Path) -> list[Question]:
    """The questions that the answers bring along, in their order."""
    rows = [each.document for each in given if each.document is not None]
    if len(rows) < len(given):
        raise DataError(f"{path} does not carry the truth; name {chosen.title}'s official files with --truth")
    try:
        return [chosen.row(row, i) for i, row in enumerate(rows)]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{path} does not carry the whole truth ({error}); name it with --truth") from error


def report(found: Score) -> dict[str, Any]:
    """The score as JSON."""
    return {
        "benchmark": found.benchmark,
        "metrics": found.metrics,
        "n": found.n,
        "low": found.low,
        "high": found.high,
        "unanswered": found.unanswered,
        "unmatched": found.unmatched,
        "notes": found.notes,
    }


def parser() -> argparse.ArgumentParser:
    made = command_parser("objectives.score", __doc__)
    made.add_argument("--benchmark", required=True, metavar="NAME", help=", ".join(EVERY_BENCHMARK))
    made.add_argument("--answers", required=True, type=Path, metavar="FILE", help="the answers (or their folder)")
    made.add_argument("--truth", type=Path, metavar="PATH", help="the official file or folder")
    add_json_option(made)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for what cannot be scored."""
    options = parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    found = score(benchmark(options.benchmark), options.answers, options.truth)
    if found.unanswered:
        sys.stderr.write(f"note: {found.unanswered} of {found.n} questions have no answer and count as wrong\n")
    if found.unmatched:
        sys.stderr.write(f"note: {found.unmatched} answers are to none of the questions\n")
    if options.json:
        sys.stdout.write(json.dumps(report(found), indent=2) + "\n")
    else:
        lines = [f"{name:24} {value:.4f}" for name, value in found.metrics.items()]
        sys.stdout.write("\n".join([*lines, f"{'questions':24} {found.n}", *found.notes]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
