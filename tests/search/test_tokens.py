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


def printed(capsys: pytest.CaptureFixture[str], config: PruningConfig, *more: str) -> dict[str, Any]:
    assert tokens.main([*ASKED, "--config", json.dumps(config.as_dict()), *more]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def total_of(document: dict[str, Any]) -> int:
    assert all(grid["tokens"] == grid["rows"] * grid["columns"] for grid in document["grids"])
    return sum(grid["tokens"] for grid in document["grids"])


def test_survivors_are_counted_as_the_configuration_says(capsys: pytest.CaptureFixture[str]) -> None:
    config = PruningConfig.paper()
    document = printed(capsys, config)
    total = total_of(document)
    first, second = set(document["after_k1"]), set(document["after_k2"])
    assert (len(first), len(second)) == config.kept(total)
    assert second < first < set(range(total))
    assert document["number"] == 3


def test_dense_keeps_every_token_and_answers_as_itself(capsys: pytest.CaptureFixture[str]) -> None:
    document = printed(capsys, PruningConfig.dense())
    assert document["after_k2"] == document["after_k1"] == list(range(total_of(document)))
    assert document["answer"] == document["dense_answer"]


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
    command = ["--model", model, "--weights", "mini", *own, "--config", json.dumps(config.as_dict())]
    assert tokens.main(command) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["grids"]) == len(document["images"]) == 2
    assert (len(document["after_k1"]), len(document["after_k2"])) == config.kept(total_of(document))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--question", "99"], "got question 99; expected 0 to"),
        (["--digest", "abc"], "the study measured weights abc"),
        (["--benchmark", "mine"], "unknown benchmark 'mine'"),
        (["--config", '{"k1": 0, "r1": 1, "k2": 2, "r2": 1}'], "k1 must be at least 1"),
        (["--config", "{"], "Expecting property name"),
        (["--config", "5"], "got 5; expected a mapping with k1"),
        (["--config", "[" * 10_000], "nested too deeply"),
    ],
)
def test_what_cannot_be_shown_is_one_line(capsys: pytest.CaptureFixture[str], more: list[str], message: str) -> None:
    assert tokens.main([*ASKED, "--config", json.dumps(PruningConfig.paper().as_dict()), *more]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
