"""What a search reports: the document, the presets and the table."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import himap
from himap import PruningConfig
from himap.presets import Timing
from search.certifying.certified import CertifiedSetting
from search.certifying.study_certifier import Verdict
from search.reporting import report
from search.reporting.presets import preset_trial, write_preset
from search.reporting.result import SearchResult, StudyResult
from search.sampling.problem import Goals
from search.sampling.space import SearchSpace
from search.studies.study import Study
from search.studies.study_run import StudyRun
from storage import Confirmation, Latency, Trial
from storage.pareto import WITHIN_MARGINS
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
    "speedup",
    "speedup_low",
    "speedup_high",
}


def at(number: int, ratio: float, accuracy: float, origin: str = "sampler", **fields: Any) -> Trial:
    config = PruningConfig(2, 30 + number, 8, 75)
    spread = {"accuracy_low": accuracy - 0.1, "accuracy_high": accuracy + 0.1}
    cost = {"flops_ratio": ratio, "flops": 1e9 * ratio, "tokens_after_k1": 72.0}
    return trial(number, config, origin, **cost, accuracy=accuracy, **spread, **fields)


def run_of(trials: list[Trial]) -> StudyRun:
    study = Study(SearchSpace(LAYERS), [], IMAGE_TOKENS, "random", 0)
    return StudyRun(KEY, 1, study, 50, trials, writer=NOWHERE)


def result_of(trials: list[Trial]) -> StudyResult:
    return StudyResult(KEY, tuple(trials))


NOWHERE: Any = None  # these runs write nothing
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
    best = preset_trial([FAILED, *reversed(trials)])
    assert best is not None
    assert best.number == number


def test_the_limit_of_one_point_is_not_moved_by_binary_rounding() -> None:
    dense, cheaper = at(0, 1.0, 152 / 300, "dense"), at(1, 0.2, 149 / 300)
    assert dense.accuracy - 0.01 > cheaper.accuracy
    assert preset_trial([dense, cheaper]) is cheaper


def test_the_preset_without_dense_is_the_most_accurate() -> None:
    best = preset_trial([at(1, 0.2, 0.700), at(2, 0.5, 0.705), FAILED])
    assert best is not None
    assert best.number == 2
    assert preset_trial([FAILED]) is None


def test_the_document_has_its_fields() -> None:
    trials = [DENSE, at(1, 0.25, 0.5), at(2, 0.5, 0.8), at(3, 0.6, 0.7), FAILED]
    written = report.document(SearchResult((result_of(trials), result_of([]))))
    assert list(written) == ["studies"]
    full, empty = written["studies"]
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
        "certified": [],
    }
    assert [member["r1"] for member in front] == [31, 32, 30]
    assert all(set(member) == FRONT_FIELDS for member in front)
    assert front[0]["flops_ratio"] == 0.25
    assert (empty["trials"], empty["front"], empty["hypervolume"]) == (0, [], 0.0)


def test_the_document_holds_what_is_deployed_within_each_margin(tmp_path: Path) -> None:
    timing = Timing(
        figure="first_token", batch=1, ms=20, dense_ms=40, speedup=2, speedup_low=1.9, speedup_high=2.1, repeats=20
    )
    cheap, dense = at(1, 0.3, 0.8), DENSE
    settings = (
        CertifiedSetting("pope", Verdict(0.005, None, math.nan, None, 0, 0.0, "no chance"), dense, tmp_path / "a.yaml"),
        CertifiedSetting(
            "pope", Verdict(0.01, 1, 0.008, 1, 1000, 0.05), cheap, tmp_path / "b.yaml", Latency.of((timing,), "cpu")
        ),
    )
    result = replace(result_of([dense, cheap]), certified=settings)
    none, one = report.document(SearchResult((result,)))["studies"][0]["certified"]
    assert (none["certified"], none["reason"], none["bound"], none["timed"]) == (False, "no chance", None, None)
    assert (one["certified"], one["trial"], one["r1"], one["flops_ratio"]) == (True, 1, 31, 0.3)
    assert (one["bound"], one["test_questions"], one["preset"]) == (0.008, 1000, str(tmp_path / "b.yaml"))
    assert (one["timed"]["speedup"], one["timed"]["repeats"], one["device"]) == (2, 20, "cpu")
    assert json.loads(json.dumps([none, one])) == [none, one]


def test_presets_load_and_a_study_without_results_has_none(tmp_path: Path) -> None:
    path = write_preset(tmp_path / "new", run_of([DENSE, at(1, 0.3, 0.805)]))
    assert path == tmp_path / "new" / "tiny-pope.yaml"
    assert write_preset(tmp_path / "new", run_of([FAILED])) is None
    assert himap.load_preset(path) == PruningConfig(2, 31, 8, 75)


def test_an_estimate_never_replaces_a_certified_preset(tmp_path: Path) -> None:
    winner = at(1, 0.3, 0.805)
    path = write_preset(tmp_path, run_of([DENSE, winner]))
    assert path is not None
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
        bound=0.01,
    )
    preset_of(KEY, winner, HeldOut(WITHIN_MARGINS[1], {"pope": held_out})).write(path)
    certified = path.read_text()
    assert write_preset(tmp_path, run_of([DENSE, winner])) == path
    assert path.read_text() == certified
    for cheaper in (at(2, 0.2, 0.805), at(3, 0.1, 0.805)):
        beside = write_preset(tmp_path, run_of([DENSE, winner, cheaper]))
        assert beside == tmp_path / "tiny-pope-estimate.yaml"
        assert himap.load_preset(beside) == cheaper.config
    assert path.read_text() == certified


def test_presets_of_two_checkpoints_of_one_name_do_not_mix(tmp_path: Path) -> None:
    run, foreign = run_of([DENSE, at(1, 0.3, 0.805)]), run_of([DENSE, at(2, 0.2, 0.805)])
    foreign.key = replace(foreign.key, weights_digest="f" * 64)
    first, second = write_preset(tmp_path, run), write_preset(tmp_path, foreign)
    assert first is not None and second is not None
    assert second.name == "tiny-pope-ffffffffffff.yaml"
    assert write_preset(tmp_path, run) == first and write_preset(tmp_path, foreign) == second
    for path, digest in ((first, "0" * 64), (second, "f" * 64)):
        assert himap.read_preset(path).model.weights_digest == digest


def test_what_is_no_preset_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "tiny-pope.yaml").write_text("my: notes")
    path = write_preset(tmp_path, run_of([DENSE, at(1, 0.3, 0.805)]))
    assert path == tmp_path / "tiny-pope-000000000000.yaml"
    assert (tmp_path / "tiny-pope.yaml").read_text() == "my: notes"


@pytest.mark.parametrize("model", ["模型甲", "модель", "a b", "...", "x" * 255, "甲" * 85, "emoji 😀"])
def test_presets_of_every_name_are_written_and_load(tmp_path: Path, model: str) -> None:
    run = run_of([DENSE, at(1, 0.3, 0.805)])
    run.key = replace(run.key, model=model)
    path = write_preset(tmp_path, run)
    assert path is not None
    assert himap.read_preset(path).model.name == model


def test_the_table_shows_the_front_beside_the_baselines() -> None:
    fastv = trial(4, PruningConfig.fastv(), "fastv", flops_ratio=0.7, flops=7e8, accuracy=0.4)
    beaten = at(5, 0.9, 0.3)
    console = Console(file=io.StringIO(), width=160)
    console.print(report.table(result_of([DENSE, fastv, at(1, 0.3, 0.805), beaten, FAILED]), Goals()))
    assert isinstance(console.file, io.StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip()]
    assert lines[0] == "tiny / pope (20 validation questions, 95 % intervals)"
    assert lines[3] == "front (preset) 30.0 80.5 [70.5, 90.5] 2 31 8 75 instruction intra_column 5.7 -"
    assert lines[4].startswith("fastv 70.0 40.0 ")
    assert " 2 50 - 0 last_token - " in lines[4]
    assert lines[5].startswith("front dense 100.0 81.0 [71.0, 91.0]")
    assert len(lines) == 6
