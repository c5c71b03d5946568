"""Score answers that were made elsewhere by a benchmark's official rules.

    python -m objectives.score --benchmark mme --answers answers.jsonl --truth eval_tool/truth --json

Answers may be in LLaVA's form (JSON lines with question_id, prompt and text), in lmms-eval's (its samples
file), or in that of the benchmark's own tool. The truth is the benchmark's official files: the folder, or the
annotation file. It may be left out where the answers carry it, as lmms-eval's do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from objectives.benchmarks import EVERY_BENCHMARK, PublishedBenchmark, Question, benchmark
from objectives.benchmarks.labels import BROKEN_ROW, read_each
from objectives.benchmarks.rules.ptb import tokenizer_in_use
from objectives.data.source import official_questions
from objectives.errors import DataError
from objectives.options import add_json_option, check_json, command_parser, run_command, write_json
from objectives.statistics.estimates import interval
from objectives.submissions.answers import Answer, read_answers
from objectives.submissions.matching import match

_BY_CATEGORY = ("pope", "mme")  # their tools score by category and skip one without answers
_NEEDS_ALL = ("pope",)  # its rule reads an empty answer as yes


@dataclass(frozen=True)
class Score:
    """A benchmark's official figures over `n` questions, with the 95 % interval of the accuracy.

    `unanswered` of the questions count as wrong; `unmatched` answers belong to none of them.
    """

    benchmark: str
    metrics: dict[str, float]
    n: int
    low: float
    high: float
    unanswered: int
    unmatched: int
    notes: list[str] = field(default_factory=list)


def score(chosen: PublishedBenchmark, answers: Path, truth: Path | None) -> Score:
    """Score the answers in a file or a folder.

    Args:
        truth: the benchmark's official files; None where the answers carry the truth.

    Raises:
        DataError: a file cannot be used, or the answers belong to other questions.
    """
    submitted = read_answers(answers, chosen.name)
    questions = _carried(chosen, submitted, answers) if truth is None else _read(chosen, truth)
    matches = match(chosen, questions, submitted)
    matched = sum(text is not None for text in matches)
    if chosen.name in _BY_CATEGORY:
        answered = {q.category for q, text in zip(questions, matches, strict=True) if text is not None}
        kept = [(q, text) for q, text in zip(questions, matches, strict=True) if q.category in answered]
        questions, matches = [q for q, _ in kept], [text for _, text in kept]
    missing = sum(text is None for text in matches)
    if missing and chosen.name in _NEEDS_ALL:
        raise DataError(f"{answers} answers {matched} of {len(matches)} questions; {chosen.title} needs all")
    texts = [text or "" for text in matches]
    bounds = interval(chosen.scores(questions, texts), graded=chosen.graded)
    notes = [f"tokens by {tokenizer_in_use()}"] if chosen.graded else []
    unmatched = max(0, sum(answer.text is not None for answer in submitted) - matched)
    return Score(
        chosen.name, chosen.metrics(questions, texts), len(texts), bounds.low, bounds.high, missing, unmatched, notes
    )


def _read(chosen: PublishedBenchmark, truth: Path) -> list[Question]:
    if not truth.exists():
        raise DataError(f"there is no {truth}; expected {chosen.title}'s official files")
    questions = official_questions(chosen, truth)
    if not questions:
        raise DataError(f"{truth} holds no questions")
    return questions


def _carried(chosen: PublishedBenchmark, submitted: Sequence[Answer], path: Path) -> list[Question]:
    """Return the questions that the answers carry, in their order."""
    rows = [answer.document for answer in submitted if answer.document is not None]
    if len(rows) < len(submitted):
        raise DataError(f"{path} does not carry the truth; name {chosen.title}'s official files with --truth")
    try:
        return read_each(chosen.row, rows, path)
    except BROKEN_ROW as error:
        raise DataError(f"{path} does not carry the whole truth ({error}); name it with --truth") from error


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("objectives.score", __doc__)
    parser.add_argument("--benchmark", required=True, metavar="NAME", help=", ".join(EVERY_BENCHMARK))
    parser.add_argument("--answers", required=True, type=Path, metavar="FILE", help="the answers (or their folder)")
    parser.add_argument("--truth", type=Path, metavar="PATH", help="the official file or folder")
    add_json_option(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for what cannot be scored."""
    options = parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    check_json(options.json)
    result = score(benchmark(options.benchmark), options.answers, options.truth)
    if result.unanswered:
        sys.stderr.write(f"note: {result.unanswered} of {result.n} questions have no answer and count as wrong\n")
    if result.unmatched:
        sys.stderr.write(f"note: {result.unmatched} answers belong to none of the questions\n")
    lines = [f"{name:24} {value:.4f}" for name, value in result.metrics.items()]
    text = "\n".join([*lines, f"{'questions':24} {result.n}", *result.notes]) + "\n"
    write_json(options.json, asdict(result), text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
