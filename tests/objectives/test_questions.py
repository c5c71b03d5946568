"""Questions of a study as JSON, for programs that show them."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys

import pytest
from PIL import Image

from objectives import questions
from objectives.benchmarks import benchmark
from objectives.data.embedded import embedded_questions
from objectives.data.images import load_image


def test_the_numbers_are_those_of_the_study_and_the_image_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--benchmark", "scienceqa", "--questions", "20", "--numbers", "7", "3", "99", "-1"]
    assert questions.main(arguments) == 0
    records = json.loads(capsys.readouterr().out)
    expected = embedded_questions(benchmark("scienceqa"), "validation", 20)
    assert [one["number"] for one in records] == [7, 3]
    assert (records[0]["text"], records[0]["answers"]) == (expected[7].text, list(expected[7].answers))
    assert records[0]["choices"] == list(expected[7].choices)
    image = Image.open(io.BytesIO(base64.b64decode(records[0]["images"][0])))
    assert image.tobytes() == load_image(expected[7].image).tobytes()


def test_an_unknown_benchmark_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert questions.main(["--benchmark", "mine", "--questions", "5", "--numbers", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: unknown benchmark 'mine'; expected one of")


def test_no_model_library_is_loaded() -> None:
    program = "import sys, objectives.questions; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
