"""Some questions of an embedded benchmark with their images, as JSON, for programs that show them.

python -m objectives.questions --benchmark pope --split validation --questions 120 --numbers 3 17

Loads no model library. Prints a list with one object a number: number, id, text, choices, answers, image (a
PNG in base64).
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
from collections.abc import Iterable
from typing import Any

from objectives.benchmarks import Question, benchmark
from objectives.benchmarks.embedded import embedded_questions
from objectives.data.images import load_image
from objectives.errors import UnknownBenchmarkError
from objectives.scenes import SPLITS


def told(questions: list[Question], numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Those questions as plain values; numbers count from 0, unknown ones are left out."""
    return [
        {
            "number": number, "id": questions[number].id, "text": questions[number].text,
            "choices": list(questions[number].choices), "answers": list(questions[number].answers),
            "image": encoded(questions[number].image),
        }
        for number in numbers
        if 0 <= number < len(questions)
    ]  # fmt: skip


def encoded(key: str) -> str:
    """The image of a question as PNG in base64."""
    file = io.BytesIO()
    load_image(key).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def main(arguments: list[str] | None = None) -> int:
    """Print the questions asked for; 2 and one line for a benchmark that is not embedded."""
    parser = argparse.ArgumentParser(prog="python -m objectives.questions", description="Questions as JSON.")
    parser.add_argument("--benchmark", required=True)
    parser.add_argument("--split", choices=SPLITS, default="validation")
    parser.add_argument("--questions", type=int, required=True, help="how many the study asks")
    parser.add_argument("--numbers", type=int, nargs="+", required=True, help="which of them, from 0")
    options = parser.parse_args(arguments)
    try:
        questions = embedded_questions(benchmark(options.benchmark), options.split, options.questions)
    except UnknownBenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    json.dump(told(questions, options.numbers), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
