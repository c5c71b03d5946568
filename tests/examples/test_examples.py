"""The examples run one after the other: a search, a plot of its store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the search example ran on a copy of the questions: its store and its preset."""
    folder = tmp_path_factory.mktemp("searched")
    shutil.copytree(EXAMPLES / "images", folder / "images")
    shutil.copy(EXAMPLES / "questions.jsonl", folder)
    command = [sys.executable, str(EXAMPLES / "search_from_python.py"), "--data", "questions.jsonl", "--budget", "12"]
    ran = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (folder / "output.txt").write_text(ran.stdout)
    return folder


def preset(folder: Path) -> Path:
    (path,) = (folder / "presets").glob("*.yaml")
    return path


def test_a_search_from_python_prints_the_front_and_the_preset(searched: Path) -> None:
    lines = (searched / "output.txt").read_text().splitlines()
    (study,) = [line for line in lines if "12 trials, hypervolume 0." in line]
    assert study.startswith("qwenvl/questions-vqa_accuracy@")
    assert any(" % of the FLOPs: accuracy " in line for line in lines)
    assert lines[-1].endswith(str(preset(searched).relative_to(searched)))


def test_the_notebook_plots_the_front_of_the_store(searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the code cells in their order, as a kernel would."""
    monkeypatch.chdir(searched)
    notebook = json.loads((EXAMPLES / "plot_front.ipynb").read_text(encoding="utf-8"))
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    drawn = {series.name: series for series in names["figure"].data}
    assert len(drawn["front"].x) == len(names["members"]) > 0
    assert set(drawn["baselines"].text) == {"dense", "fastv", "paper", "random"}
    assert max(drawn["baselines"].x) == pytest.approx(100)
