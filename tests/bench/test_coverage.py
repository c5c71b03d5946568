"""The simulation of repeated searches: what it counts and reads, and that it can fail."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import coverage
from himap import PruningConfig
from objectives.statistics.estimates import Interval
from storage import StudyKey, Trial, open_store


def small(graded: bool = False) -> coverage.Population:
    return coverage.generated(3, graded=graded, configs=40, questions=4000)


@pytest.mark.parametrize("graded", [False, True])
def test_confirmed_intervals_hold_and_estimates_flatter(graded: bool) -> None:
    row = coverage.simulate(small(graded), repeats=60, validation=120, test=300)
    assert row["repeats"] == 60
    assert coverage.holds(row)
    assert row["validation_difference"] < 0.85 < row["confirmed_difference"]
    assert row["validation_flattery_points"] > 0.5 > abs(row["confirmed_flattery_points"])


def test_intervals_that_are_too_narrow_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(scores: np.ndarray, others: np.ndarray) -> Interval:
        mean = float((scores - others).mean())
        return Interval(mean, mean - 0.003, mean + 0.003)

    monkeypatch.setattr(coverage, "difference_interval", narrow)
    row = coverage.simulate(small(), repeats=40, validation=120, test=300)
    assert not coverage.holds(row)
    assert row["confirmed_accuracy"] >= 0.9


def test_credits_are_those_of_vqa() -> None:
    table = small(graded=True)
    assert set(np.unique(table.scores)) == {0.0, 0.3, 0.6, 0.9, 1.0}
    assert table.flops[0] == 1.0 and table.flops[1:].max() < 1


def test_tables_come_from_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, table = f"sqlite:///{tmp_path / 'a.db'}", coverage.generated(1, configs=12, questions=60)
    with open_store(url) as store:
        study = store.study(StudyKey("m", "d", "pope", "validation", 60, 0, "s"))
        for i in (*range(1, 12), 0):
            scores = tuple(table.scores[i])
            store.add(
                study,
                Trial(
                    i,
                    "complete",
                    "sampler" if i else "dense",
                    PruningConfig(1, 0, 2, 0),
                    flops=float(table.flops[i]),
                    accuracy=float(np.mean(scores)),
                    n=60,
                    scores=scores,
                ),
            )
        store.add(study, Trial(20, "failed", "sampler", PruningConfig(1, 0, 2, 0), reason="no"))
    (read,) = coverage.stored(url)
    assert read.scores.tolist() == table.scores.tolist()
    assert read.name == "m/pope"
    assert coverage.main(["--storage", url, "--repeats", "5", "--validation", "40"]) in (0, 1)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["configurations"], row["questions"]) == (12, 60)
    assert coverage.main(["--storage", f"sqlite:///{tmp_path / 'no.db'}"]) == 2
    assert "no.db" in capsys.readouterr().err
