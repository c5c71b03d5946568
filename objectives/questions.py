"""Print some questions of a study with their images as JSON, for programs that show them.

python -m objectives.questions --benchmark pope --split validation --questions 120 --numbers 3 17
python -m objectives.questions --data mine.jsonl --metric anls --questions 80 --numbers 3

Prints a list with one object for each number: number, id, text, choices, answers, images (PNGs in base64).
Loads no model library.
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from objectives.benchmarks import Question, benchmark
from objectives.data.images import load_image
from objectives.data.source import QuestionSet, load_questions
from objectives.errors import DataError
from objectives.json_files import json_text
from objectives.options import add_source_options, command_parser, run_command, source_of
from objectives.scenes import SPLITS


def add_study_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `study_questions` reads."""
    parser.add_argument("--benchmark", default="", help="unless the questions are your own (--data)")
    add_source_options(parser)
    parser.add_argument("--split", choices=SPLITS, default="validation")
    parser.add_argument("--questions", type=int, required=True, help="number of questions of the study")
    parser.add_argument("--leave-out", type=int, nargs="+", default=[], metavar="ROW", help="rows the study left out")
    parser.add_argument("--key", default="", help="the key of the study's questions; others are refused")


def study_questions(options: argparse.Namespace) -> QuestionSet:
    """Load the questions that the options of `add_study_options` name.

    Raises:
        DataError: they cannot be loaded, or their key is not the one of the study.
        UnknownBenchmarkError: no benchmark has this name.
    """
    name = benchmark(options.benchmark).name if options.benchmark else ""
    source = replace(source_of(options, name), left_out=frozenset(options.leave_out))
    question_set = load_questions(source, options.split, options.questions)
    if options.key and question_set.key != options.key:
        raise DataError(
            f"the study asked {options.key}, but {question_set.origin} holds {question_set.key} now; "
            "put the files back as they were"
        )
    return question_set


def question_records(questions: list[Question], numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Return the questions with these numbers as plain values; numbers start at 0, unknown ones are left out."""
    return [
        {
            "number": number,
            "id": questions[number].id,
            "text": questions[number].text,
            "choices": list(questions[number].choices),
            "answers": list(questions[number].answers),
            "images": [png_base64(image) for image in questions[number].images],
        }
        for number in numbers
        if 0 <= number < len(questions)
    ]


def png_base64(key: str) -> str:
    """Return the image of a question as a PNG in base64."""
    file = io.BytesIO()
    load_image(key).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("objectives.questions", __doc__)
    add_study_options(parser)
    parser.add_argument("--numbers", type=int, nargs="+", required=True, help="which of them, from 0")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for questions that cannot be loaded."""
    options = parser().parse_args(arguments)

    def run() -> int:
        sys.stdout.write(json_text(question_records(study_questions(options).questions, options.numbers)))
        return 0

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
