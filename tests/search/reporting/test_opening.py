"""The command for full weights that a search on a mini prints asks the same questions."""

from __future__ import annotations

import shlex
from types import SimpleNamespace
from typing import Any

import pytest

from search import launch
from search.config import SearchConfig
from search.reporting.opening import opening_lines
from storage import QuestionSource

OWN = {"data": "my questions.jsonl", "metric": "number=0.01", "on_bad": "skip", "storage": "sqlite:///my db.sqlite"}


@pytest.mark.parametrize(
    ("record", "options"),
    [
        (QuestionSource("q", data=OWN["data"], metric=OWN["metric"], skip_bad=True), OWN),
        (QuestionSource("q", benchmark="pope", data_root="a b"), {"benchmarks": ["pope"], "data_root": "a b"}),
        (None, {"benchmarks": ["mme", "pope"]}),
        (None, {}),
    ],
)
def test_the_full_weights_are_asked_the_same(record: QuestionSource | None, options: dict[str, Any]) -> None:
    config = SearchConfig("qwenvl", 7, **options)
    target: Any = SimpleNamespace(
        kind="embedded mini", weights="w", digest="0" * 64, why="", shape=SimpleNamespace(layers=3), cut_layers=(1, 2)
    )
    part: Any = SimpleNamespace(key="q", record=record, lines=list)
    lines = opening_lines(config, target, [part], [], 1, config.storage)
    (command,) = [line for line in lines if "--weights full" in line]
    printed = vars(launch.parser().parse_args(shlex.split(command)[3:]))
    printed |= {name: str(printed[name]) for name in ("data", "data_root") if printed.get(name)}
    asked = SearchConfig(**{name: value for name, value in printed.items() if value})
    assert (asked.sources(), asked.storage, asked.weights) == (config.sources(), config.storage, "full")
