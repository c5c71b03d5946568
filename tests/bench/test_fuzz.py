"""Generated bad inputs give a result or one line; the same generators run long in `bench.fuzz`."""

from __future__ import annotations

import gc
import random
import sys
import time
from pathlib import Path

import pytest

from bench.fuzz import __main__ as fuzz
from bench.fuzz import case
from bench.fuzz.case import command, run_case
from bench.fuzz.kinds import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_no_input_is_a_fault(kind: str) -> None:
    outcomes = [run_case(kind, KINDS[kind], seed) for seed in range(100)]
    assert [one for one in outcomes if one.verdict == "fault"] == []
    assert {one.verdict for one in outcomes} >= {"refused"}


def test_a_seed_makes_the_same_input_again() -> None:
    again = [[run_case(kind, KINDS[kind], 7).verdict for kind in KINDS] for _ in range(2)]
    assert again[0] == again[1]


def _fails(rng: random.Random, folder: Path) -> case.Action:
    return lambda: int("none")


def _waits(rng: random.Random, folder: Path) -> case.Action:
    return lambda: time.sleep(5)


def _leaves(rng: random.Random, folder: Path) -> case.Action:
    return lambda: (folder / ".half.tmp").write_text("")


def _fills(rng: random.Random, folder: Path) -> case.Action:
    return lambda: bytes(range(256)) * 5_000_000


def _tells(rng: random.Random, folder: Path) -> case.Action:
    return command(lambda words: sys.stderr.write(f"error: {case.SECRET}\n") and 2, [])


def _says_two_things(rng: random.Random, folder: Path) -> case.Action:
    return command(lambda words: sys.stderr.write("error: a\nerror: b\n") and 2, [])


def _says_nothing(rng: random.Random, folder: Path) -> case.Action:
    return command(lambda words: sys.stderr.write("error: \n") and 2, [])


def _ends_oddly(rng: random.Random, folder: Path) -> case.Action:
    return command(lambda words: 134, [])


@pytest.mark.parametrize(
    "maker", [_fails, _waits, _leaves, _fills, _tells, _says_two_things, _says_nothing, _ends_oddly]
)
def test_faults_are_seen(maker: case.Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case, "SECONDS", 1)
    monkeypatch.setattr(case, "MOST_GROWTH", 100_000_000)
    gc.collect()  # what earlier tests left would shrink the process meanwhile
    assert run_case("x", maker, 0).verdict == "fault"


def test_the_command_counts_and_replays(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["--inputs", "12"]) == 0
    assert "| presets | 2 |" in capsys.readouterr().out
    assert fuzz.main(["--replay", "presets:1"]) == 0
    assert fuzz.main(["--replay", "nothing:1"]) == 2
    assert "expected KIND:SEED" in capsys.readouterr().err
