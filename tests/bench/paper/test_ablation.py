"""The ablation's rows drop what they say, and its table states what was measured."""

from __future__ import annotations

import json

import pytest

from bench.paper import ablation
from himap import PruningConfig


def test_controls_keep_as_many_tokens_as_the_row_they_stand_beside() -> None:
    rows = ablation.rows(PruningConfig.paper())
    for n in (144, 180, 576):
        shallow = {config.kept(n) for name, config in rows.items() if name.startswith("shallow")}
        both = {config.kept(n) for name, config in rows.items() if not name.startswith(("shallow", "no"))}
        assert shallow == {(n // 2, n // 2)} and len(both) == 1 and shallow != both
    assert rows[ablation.DENSE].is_dense and rows["HiMAP: φ_sh, then φ_dp"] == PruningConfig.paper()
    criteria = [(config.phi_shallow, config.phi_deep) for name, config in rows.items() if name.startswith("both")]
    assert criteria == [("instruction", "instruction"), ("random", "random"), ("uniform", "uniform")]


def test_the_command_measures_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert ablation.main(["--model", "qwenvl", "--benchmark", "scienceqa", "pope", "--n", "4", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)["rows"]
    assert list(rows) == list(ablation.rows(PruningConfig.paper()))
    for name, cells in rows.items():
        assert list(cells) == ["scienceqa", "pope", "all"] and cells["all"]["n"] == 8
        mean = (cells["scienceqa"]["accuracy"] + cells["pope"]["accuracy"]) / 2
        assert cells["all"]["accuracy"] == pytest.approx(mean)
        change = cells["all"]["accuracy"] - rows[ablation.DENSE]["all"]["accuracy"]
        assert cells["all"]["difference"]["mean"] == pytest.approx(change)
        assert (cells["pope"]["flops_ratio"] < 1) == (name != ablation.DENSE)
    table = [line for line in err.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(rows) and "n = 4 test questions" in err


def test_what_cannot_be_measured_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--n", "0"], "expected at least 1"),
        (["--benchmark", "vqa"], "unknown benchmark"),
        (["--k1", "9"], "k2 must be greater than k1"),
    ):
        assert ablation.main(["--model", "qwenvl", *arguments]) == 2
        assert message in capsys.readouterr().err
