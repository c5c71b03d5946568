"""Which image tokens of a question survive, as a command tells them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from himap import PruningConfig
from objectives.data.embedded import embedded_image
from search import tokens

ASKED = ["--model", "qwenvl", "--weights", "mini", "--benchmark", "pope", "--questions", "10", "--question", "3"]


def told(capsys: pytest.CaptureFixture[str], config: PruningConfig, *more: str) -> dict[str, Any]:
    assert tokens.main([*ASKED, "--config", json.dumps(config.as_dict()), *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def total_of(found: dict[str, Any]) -> int:
    assert all(grid["tokens"] == grid["rows"] * grid["columns"] for grid in found["grids"])
    return sum(grid["tokens"] for grid in found["grids"])


def test_survivors_are_counted_as_the_configuration_says(capsys: pytest.CaptureFixture[str]) -> None:
    config = PruningConfig.paper()
    found = told(capsys, config)
    total = total_of(found)
    first, second = set(found["after_k1"]), set(found["after_k2"])
    assert (len(first), len(second)) == config.kept(total)
    assert second < first < set(range(total))
    assert found["number"] == 3


def test_dense_keeps_every_token_and_answers_as_itself(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, PruningConfig.dense())
    assert found["after_k2"] == found["after_k1"] == list(range(total_of(found)))
    assert found["answer"] == found["dense_answer"]


@pytest.mark.parametrize("model", ["qwenvl", "llava-7b"])
def test_each_image_of_a_question_has_its_own_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    for i in range(12):
        embedded_image(f"validation-{i}").save(tmp_path / f"{i}.png")
    rows = [
        {"id": i, "image": [f"{i}.png", f"{(i + 1) % 12}.png"], "question": "What is it?", "answer": "a"}
        for i in range(0, 12, 2)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)
    own = ["--data", "mine.jsonl", "--metric", "exact_match", "--questions", "1", "--question", "0"]
    config = PruningConfig.paper()
    asked = ["--model", model, "--weights", "mini", *own, "--config", json.dumps(config.as_dict())]
    assert tokens.main(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["grids"]) == len(found["images"]) == 2
    assert (len(found["after_k1"]), len(found["after_k2"])) == config.kept(total_of(found))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--question", "99"], "got question 99; expected 0 to"),
        (["--digest", "abc"], "the study measured weights abc"),
        (["--benchmark", "mine"], "unknown benchmark 'mine'"),
        (["--config", '{"k1": 0, "r1": 1, "k2": 2, "r2": 1}'], "k1 must be at least 1"),
        (["--config", "{"], "Expecting property name"),
    ],
)
def test_what_cannot_be_told_is_one_line(capsys: pytest.CaptureFixture[str], more: list[str], said: str) -> None:
    assert tokens.main([*ASKED, "--config", json.dumps(PruningConfig.paper().as_dict()), *more]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
