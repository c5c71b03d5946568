"""The configuration of a search: the command's options, to JSON and back, refused where they make no sense."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from objectives.errors import DataError, UnknownBenchmarkError
from search import SearchConfig
from search.errors import UsageError
from search.launch import parser

FULL = SearchConfig(
    "llava-7b",
    50,
    benchmarks=["pope", "mme"],
    data_root="official",
    workers=2,
    gpus_per_worker=0.5,
    objectives=["accuracy", "latency"],
    max_drop=1,
    race=False,
    seed=7,
)


@pytest.mark.parametrize("config", [FULL, SearchConfig("qwenvl", 200), SearchConfig("m", 1, data="a", metric="anls")])
def test_it_goes_to_json_and_back(config: SearchConfig) -> None:
    assert SearchConfig.from_json(config.to_json()) == config


def test_what_has_a_default_may_be_left_out() -> None:
    assert SearchConfig.from_json('{"model": "qwenvl", "budget": 9}') == SearchConfig("qwenvl", 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model": "qwenvl", "budget": 9, "trials": 3}', "unknown field trials; known are model, budget"),
        ('{"model": "qwenvl"}', "the file lacks budget"),
        ('{"model": "qwenvl", "budget": "9"}', "budget must be a valid integer, got '9'"),
        ('{"model": "qwenvl", "budget": 9, "benchmarks": "pope"}', "benchmarks must be a valid"),
        ("[]", "must be an object"),
        ("{", "Invalid JSON"),
    ],
)
def test_json_that_is_no_search_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        SearchConfig.from_json(text)
    assert str(caught.value).startswith("not a search configuration: ")
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ({"budget": 0}, UsageError, "got --budget 0; expected a whole number from 1"),
        ({"questions": 19}, UsageError, "got --questions 19; expected a whole number from 20"),
        ({"seed": 2**31}, UsageError, "got --seed 2147483648"),
        ({"memory_mb": -1}, UsageError, "got --memory-mb -1"),
        ({"sampler": "grid"}, UsageError, "unknown sampler 'grid'"),
        ({"objectives": ["flops"]}, UsageError, "expected accuracy and one or two costs"),
        ({"max_drop": -1}, UsageError, "got --max-drop -1"),
        ({"benchmarks": ["popes"]}, UnknownBenchmarkError, "unknown benchmark 'popes'"),
        ({"data": "mine.jsonl"}, DataError, "needs a metric"),
        ({"data": "mine.jsonl", "metric": "anls", "benchmarks": ["pope"]}, DataError, "not both"),
    ],
)
def test_values_that_make_no_search_are_refused(values: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        SearchConfig(**{"model": "qwenvl", "budget": 9, **values})


def test_its_fields_are_the_options_of_the_command() -> None:
    options = {action.dest for action in parser()._actions} - {"help", "json", "dry_run", "share"}
    assert options == {field.name for field in fields(SearchConfig)}


def test_one_source_a_benchmark_each_once() -> None:
    assert [source.benchmark for source in SearchConfig("m", 1, ["mme", "pope", "mme"]).sources()] == ["mme", "pope"]
    assert len(SearchConfig("m", 1).sources()) == 6
