"""Table 1 and Fig. 8: the paper's FLOPs, and nothing that was not measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.paper import tables
from himap import PruningConfig
from objectives.evaluation.checkpoints import resolve
from storage import StudyKey, Trial, open_store
from storage.presets import preset_of

FOUND = Trial(
    1,
    "complete",
    "sampler",
    PruningConfig(3, 60, 7, 40),
    flops=1.0,
    flops_ratio=0.4,
    accuracy=1.0,
    accuracy_low=0.9,
    accuracy_high=1.0,
    n=4,
)


def key(digest: str) -> StudyKey:
    return StudyKey("qwenvl", digest, "scienceqa", "validation", 4, 0, "any")


def test_full_size_flops_are_the_papers() -> None:
    """In 10^12; the paper's HiMAP figure for 13B needs K1 = 3, see docs/flops.md."""
    rows = {(row["model"], row["method"]): row["paper_flops"] / 1e12 for row in tables.full_size()}
    for (model, method), value in {
        ("llava-7b", "dense"): 2.986,
        ("llava-7b", "FastV"): 1.566,
        ("llava-7b", "HiMAP"): 0.735,
        ("llava-13b", "dense"): 5.813,
        ("llava-13b", "FastV"): 3.093,
        ("llava-13b", "HiMAP"): 1.291,
        ("qwenvl-7b", "dense"): 3.600,
        ("qwenvl-7b", "FastV"): 1.900,
        ("qwenvl-7b", "HiMAP"): 0.893,
    }.items():
        assert rows[model, method] == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize("form", ["store", "presets"])
def test_a_found_configuration_counts_for_the_same_weights_only(form: str, tmp_path: Path) -> None:
    target = resolve("qwenvl", "mini")
    for digest in (target.digest, "f" * 64):
        if form == "store":
            url = f"sqlite:///{tmp_path}/{digest[:4]}.db"
            with open_store(url) as store:
                store.add(store.study(key(digest)), FOUND)
            find = tables.from_store(url)
        else:
            (tmp_path / "qwenvl-scienceqa.yaml").write_text(preset_of(key(digest), FOUND).yaml())
            find = tables.from_presets(tmp_path)
        wanted = PruningConfig(3, 60, 7, 40) if digest == target.digest else None
        assert find(target, "scienceqa") == wanted
        assert find(target, "pope") is None


def test_the_command_measures_pairs_and_leaves_out_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = resolve("qwenvl", "mini")
    preset_trial = replace(FOUND, config=replace(FOUND.config, k1=4))
    (tmp_path / "qwenvl-scienceqa.yaml").write_text(preset_of(key(target.digest), preset_trial).yaml())
    small = ["--model", "qwenvl", "--benchmark", "scienceqa", "pope", "--n", "4"]
    assert tables.main([*small, "--presets", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    rows = {(row["benchmark"], row["method"]): row for row in document["pairs"]}
    assert rows["scienceqa", "found"]["configuration"]["k1"] == 4
    assert "accuracy" not in rows["pope", "found"] and rows["pope", "HiMAP"]["ratio"] < 0.6
    assert rows["pope", "dense"]["ratio"] == 1 and rows["pope", "dense"]["n"] == 4
    assert [row["method"] for row in document["time"]] == ["dense", "FastV", "HiMAP"]
    assert all(row["ms"] > 0 and row["repeats"] >= 6 and row["device"] for row in document["time"])
    table = tables.table_1(document)
    assert "| pope | found | not measured |" in table.replace("  ", " ")
    assert all("not measured" in line for line in table.splitlines() if "full size" in line)
    assert tables.figure_8(document).count("not measured") == 3


def test_what_cannot_be_measured_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--storage", f"sqlite:///{tmp_path}/none.db"], ["--model", "nobody"], ["--n", "0"]):
        assert tables.main(arguments) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
