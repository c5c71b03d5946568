"""`python -m objectives.accuracy`: accuracy of a model, dense and by a preset."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from himap import PruningConfig
from objectives import accuracy
from objectives.benchmarks import benchmark
from objectives.benchmarks.custom import metric
from objectives.data.embedded import embedded_questions
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.known_models import KNOWN, MINIS
from objectives.evaluation.models import LoadedModel, load


def test_the_command_takes_the_weights_that_are_named(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sources: list[str] = []

    def evaluator(loaded: LoadedModel, *more: object) -> Evaluator:
        sources.append(loaded.weights)
        return Evaluator(loaded, *more)  # type: ignore[arg-type]

    monkeypatch.setattr("objectives.evaluation.evaluator.Evaluator", evaluator)
    answers = tmp_path / "answers.jsonl"
    common = ["--model", "llava-7b", "--benchmark", "pope", "--n", "4", "--json", "--answers", str(answers)]
    folder = str(folders["llava-mini"])
    for weights in ("mini", folder):
        assert accuracy.main([*common, "--weights", weights]) == 0
    assert sources == [str(KNOWN["llava-7b"].folder), folder]
    result = json.loads(capsys.readouterr().out.partition("\n}\n")[0] + "}")
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    assert (result["model"], result["questions"], result["n"]) == ("llava-7b", "pope", 4)
    assert {row["configuration"] for row in rows} == {"dense"} and len(rows) == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model", "nowhere", "--benchmark", "pope"], "error: unknown model 'nowhere'; expected one of qwenvl"),
        (["--model", "a/b", "--benchmark", "pope", "--weights", "full"], "error: --weights full goes with --model"),
        (["--model", "qwenvl"], "error: expected either a benchmark's name or a file of own questions"),
        (["--model", "qwenvl", "--benchmark", "pope", "--n", "0"], "error: got --n 0; expected at least 1"),
    ],
)
def test_what_cannot_be_measured_is_one_line(more: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert accuracy.main(more) == 2
    error = capsys.readouterr().err
    assert error.startswith(message) and error.count("\n") == 1


@pytest.mark.parametrize("model", ["llava-mini", "qwenvl-mini"])
def test_room_for_a_sentence_changes_no_answer_of_a_mini(model: str) -> None:
    """An answer in a sentence names its letter late, and a model that stops by itself does not need the room."""
    assert {metric(name).max_new_tokens for name in ("yes_no", "multiple_choice", "number", "number=0.1")} == {32}
    loaded = load(MINIS / model)
    for name, config in (
        ("pope", PruningConfig.dense()),
        ("scienceqa", PruningConfig(1, 99, 3, 99, "random", "random")),
    ):
        answers = []
        for tokens in (4, 32):
            chosen = copy.copy(benchmark(name))
            chosen.max_new_tokens = tokens
            evaluator = Evaluator(loaded, chosen, embedded_questions(benchmark(name), "validation", 20))
            answers.append(evaluator.evaluate(config).answers)
        assert answers[0] == answers[1]
