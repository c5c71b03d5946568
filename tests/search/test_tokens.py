"""Which image tokens of a question survive, as a command tells them."""

from __future__ import annotations

import json

import pytest

from himap import PruningConfig
from search import tokens

ASKED = [
    "--model",
    "qwenvl",
    "--weights",
    "mini",
    "--benchmark",
    "pope",
    "--questions",
    "10",
    "--question",
    "3",
]


def told(capsys: pytest.CaptureFixture[str], config: PruningConfig, *more: str) -> dict[str, object]:
    assert tokens.main([*ASKED, "--config", json.dumps(config.as_dict()), *more]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_survivors_are_counted_as_the_configuration_says(capsys: pytest.CaptureFixture[str]) -> None:
    config = PruningConfig.paper()
    found = told(capsys, config)
    total = found["rows"] * found["columns"]  # type: ignore[operator]  # JSON
    first, second = set(found["after_k1"]), set(found["after_k2"])  # type: ignore[call-overload]  # JSON
    assert (len(first), len(second)) == config.kept(total)
    assert second < first < set(range(total))
    assert found["number"] == 3


def test_dense_keeps_every_token_and_answers_as_itself(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, PruningConfig.dense())
    assert found["after_k2"] == found["after_k1"] == list(range(found["rows"] * found["columns"]))  # type: ignore[operator]  # JSON
    assert found["answer"] == found["dense_answer"]


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
def test_what_cannot_be_told_is_one_line(
    capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert tokens.main([*ASKED, "--config", json.dumps(PruningConfig.paper().as_dict()), *more]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
