"""The pages of docs/results: tables come from what was measured, and only they are replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.dashboard import store
from bench.docs import pages, results
from bench.paper.ablation import markdown
from himap import PruningConfig
from himap.presets import Timing
from storage import Confirmation, StudyKey, Trial
from storage.pareto import WITHIN_MARGINS
from storage.presets import HeldOut, preset_of

KEY = StudyKey("qwenvl", "0" * 64, "pope", "validation", 120, 0, "two-cuts-2")
CONFIG = PruningConfig(1, 50, 8, 75)
TIMING = Timing(
    figure="first_token_with_vision",
    batch=1,
    ms=20,
    dense_ms=40,
    speedup=2,
    speedup_low=1.9,
    speedup_high=2.1,
    repeats=20,
)
MEASURED = Confirmation(
    config=CONFIG,
    n_questions=500,
    n=500,
    accuracy=0.996,
    accuracy_low=0.98,
    accuracy_high=1.0,
    dense_accuracy=0.998,
    difference=-0.002,
    difference_low=-0.012,
    difference_high=0.007,
    bound=0.015,
    flops=2e9,
    flops_ratio=0.21,
    device="a CPU",
    commit="abc",
    timings=(TIMING,),
)


def presets(folder: Path) -> Path:
    trial = Trial(7, "complete", "sampler", CONFIG, accuracy=1.0, flops=2e9, flops_ratio=0.21, n=120)
    for point in WITHIN_MARGINS:
        preset = preset_of(KEY, trial, HeldOut(point, {"pope": MEASURED}))
        (folder / f"{point.slug}.yaml").write_text(preset.yaml())
    return folder


def test_each_margin_has_what_is_deployed_within_it(tmp_path: Path) -> None:
    table = results.certified_table(presets(tmp_path))
    deployed = "21 % of FLOPs, x2.00 [1.90, 2.10], n = 500"
    assert f"| pope | dense | dense | {deployed} |" in table
    assert "1 of 3 margins are certified; the mean cost within 1 point is 100 % of dense's FLOPs." in table
    assert "Measured: a CPU; commit abc." in table


def test_only_what_stands_between_the_comments_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "minis.md").write_text("a\n<!-- minis:begin -->\nold\n<!-- minis:end -->\nb\n")
    job = tmp_path / "main_job.md"
    job.write_text("c\n<!-- certified:begin -->\n<!-- certified:end -->\n")
    monkeypatch.setattr(pages, "PAGES", tmp_path)
    assert results.main(["--presets", str(presets(tmp_path))]) == 0
    text = (tmp_path / "minis.md").read_text()
    assert text.startswith("a\n<!-- minis:begin -->\n| model |") and text.endswith("-->\nb\n") and "old" not in text
    written = job.read_text()
    assert written.startswith("c\n") and "| pope | dense | dense | 21 %" in written
    assert results.main(["--presets", str(tmp_path / "none")]) == 2
    assert "run python -m search.launch" in capsys.readouterr().err
    assert results.main(["--storage", f"sqlite:///{tmp_path / 'none.db'}"]) == 2
    assert job.read_text() == written
    with pytest.raises(ValueError, match="no table 'other'"):
        pages.write("main_job", other="")


def test_the_pages_hold_what_the_stored_figures_say() -> None:
    """The tables that need no measurement are those of the stored data, to the letter."""
    assert results.minis_table() in (pages.PAGES / "minis.md").read_text()
    page = (pages.PAGES / "ablation.md").read_text()
    for path in sorted((pages.PAGES.parents[1] / "bench" / "data").glob("ablation-*.json")):
        assert markdown(json.loads(path.read_text())) in page, path


def test_the_table_and_the_picture_of_a_search_come_from_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    page = tmp_path / "results" / "main_job.md"
    page.write_text("<!-- search:begin -->\n<!-- search:end -->\n")
    page.with_name("minis.md").write_text("<!-- minis:begin -->\n<!-- minis:end -->\n")
    monkeypatch.setattr(pages, "PAGES", tmp_path / "results")
    store.fill(url := f"sqlite:///{tmp_path / 'himap.db'}", 60, 2, questions=40)
    assert results.main(["--storage", url]) == 0
    rows = page.read_text().splitlines()
    assert [row.split(" | ")[0] for row in rows[3:5]] == ["| benchmark-0", "| benchmark-1"]
    assert "30 trials a pair, n = 40 validation questions" in rows[-2]
    assert (tmp_path / "fronts.png").read_bytes().startswith(b"\x89PNG")
