"""What a search reports: the document, the preset and the table."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import himap
from himap import PruningConfig
from search.reporting import report
from search.sampling.space import SearchSpace
from search.studies.study import Study
from search.studies.study_run import StudyRun
from storage import Confirmation, Trial
from storage.pareto import KNEE
from storage.presets import HeldOut, preset_of
from tests.search.search_helpers import IMAGE_TOKENS, KEY, LAYERS, trial

FRONT_FIELDS = {
    "k1",
    "r1",
    "k2",
    "r2",
    "phi_shallow",
    "phi_deep",
    "paper_flops",
    "flops",
    "flops_ratio",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "n",
    "latency_ms",
}


def at(number: int, ratio: float, accuracy: float, origin: str = "sampler", **fields: Any) -> Trial:
    config = PruningConfig(2, 30 + number, 8, 75)
    spread = {"accuracy_low": accuracy - 0.1, "accuracy_high": accuracy + 0.1}
    cost = {"flops_ratio": ratio, "flops": 1e9 * ratio, "tokens_after_k1": 72.0}
    return trial(number, config, origin, **cost, accuracy=accuracy, **spread, **fields)


def run_of(trials: list[Trial]) -> StudyRun:
    study = Study(SearchSpace(LAYERS), [], IMAGE_TOKENS, "random", 0)
    return StudyRun(KEY, 1, study, 50, trials)


FAILED = trial(9, PruningConfig(5, 5, 6, 6), reason="out of memory")
DENSE = at(0, 1.0, 0.81, "dense")


@pytest.mark.parametrize(
    ("accuracies", "number"),
    [
        ({0.2: 0.80, 0.5: 0.805}, 1),  # 0.81 - 0.01, exactly at the limit
        ({0.2: 0.799, 0.5: 0.805}, 2),
        ({0.2: 0.5, 0.5: 0.7}, 0),  # only dense itself
        ({0.2: 0.9, 0.5: 0.7}, 1),
    ],
)
def test_the_preset_is_the_cheapest_within_one_point_of_dense(accuracies: dict[float, float], number: int) -> None:
    trials = [DENSE] + [at(i, ratio, value) for i, (ratio, value) in enumerate(accuracies.items(), 1)]
    best = report.chosen([FAILED, *reversed(trials)])
    assert best is not None
    assert best.number == number


def test_the_limit_of_one_point_is_not_moved_by_binary_rounding() -> None:
    dense, cheaper = at(0, 1.0, 152 / 300, "dense"), at(1, 0.2, 149 / 300)
    assert dense.accuracy - 0.01 > cheaper.accuracy
    assert report.chosen([dense, cheaper]) is cheaper


def test_the_preset_without_dense_is_the_most_accurate() -> None:
    best = report.chosen([at(1, 0.2, 0.700), at(2, 0.5, 0.705), FAILED])
    assert best is not None
    assert best.number == 2
    assert report.chosen([FAILED]) is None


def test_the_document_has_the_promised_fields(tmp_path: Path) -> None:
    trials = [DENSE, at(1, 0.25, 0.5), at(2, 0.5, 0.8), at(3, 0.6, 0.7), FAILED]
    report.write_json(tmp_path / "out.json", [run_of(trials), run_of([])])
    written = json.loads((tmp_path / "out.json").read_text())
    assert list(written) == ["pairs"]
    full, empty = written["pairs"]
    front = full.pop("front")
    assert full == {
        "model": "tiny",
        "benchmark": "pope",
        "trials": 5,
        "failed": 1,
        "pruned": 0,
        "reused": 0,
        "seconds": 2.0,
        "hypervolume": pytest.approx(0.525),
        "questions": None,
    }
    assert [member["r1"] for member in front] == [31, 32, 30]
    assert all(set(member) == FRONT_FIELDS for member in front)
    assert front[0]["flops_ratio"] == 0.25
    assert (empty["trials"], empty["front"], empty["hypervolume"]) == (0, [], 0.0)


def test_presets_load_and_a_pair_without_results_has_none(tmp_path: Path) -> None:
    written = report.write_presets(tmp_path / "new", [run_of([DENSE, at(1, 0.3, 0.805)]), run_of([FAILED])])
    assert written == [tmp_path / "new" / "tiny-pope.yaml"]
    assert himap.load_preset(written[0]) == PruningConfig(2, 31, 8, 75)


def test_a_confirmed_preset_stays_until_another_wins(tmp_path: Path) -> None:
    winner = at(1, 0.3, 0.805)
    (path,) = report.write_presets(tmp_path, [run_of([DENSE, winner])])
    assert not himap.read_preset(path).certificate.certified
    held_out = Confirmation(
        config=PruningConfig(2, 31, 8, 75),
        n_questions=500,
        n=500,
        accuracy=0.8,
        accuracy_low=0.7,
        accuracy_high=0.9,
        dense_accuracy=0.8,
        difference=0,
        difference_low=-0.001,
        difference_high=0.001,
    )
    preset_of(KEY, winner, HeldOut(KNEE, {"pope": held_out})).write(path)
    confirmed = path.read_text()
    assert report.write_presets(tmp_path, [run_of([DENSE, winner])]) == [path]
    assert path.read_text() == confirmed
    report.write_presets(tmp_path, [run_of([DENSE, winner, at(2, 0.2, 0.805)])])
    assert himap.load_preset(path) == PruningConfig(2, 32, 8, 75)


def test_the_table_shows_the_front_beside_the_landmarks() -> None:
    fastv = trial(4, PruningConfig.fastv(), "fastv", flops_ratio=0.7, flops=7e8, accuracy=0.4)
    beaten = at(5, 0.9, 0.3)
    console = Console(file=io.StringIO(), width=160)
    console.print(report.table(run_of([DENSE, fastv, at(1, 0.3, 0.805), beaten, FAILED])))
    assert isinstance(console.file, io.StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip()]
    assert lines[0] == "tiny / pope (20 validation questions, 95 % intervals)"
    assert lines[3] == "front (preset) 30.0 80.5 [70.5, 90.5] 2 31 8 75 instruction intra_column 5.7"
    assert lines[4].startswith("fastv 70.0 40.0 ")
    assert " 2 50 - 0 last_token - " in lines[4]
    assert lines[5].startswith("front dense 100.0 81.0 [71.0, 91.0]")
    assert len(lines) == 6
