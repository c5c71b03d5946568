"""docs/pruning.md lists what the code supports and refuses, and its code blocks run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import himap
from himap import criteria
from himap.engine import attention, refusals
from himap.families.refused import REFUSED
from tests.himap.tiny_models import Subject

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "pruning.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize(("state", "names"), [("tested", himap.supported_models()), ("refused", tuple(REFUSED))])
def test_the_page_of_classes_is_current(state: str, names: tuple[str, ...]) -> None:
    page = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
    assert tuple(re.findall(rf"^\| `(\w+)` \| {state} \|", page, flags=re.MULTILINE)) == names


@pytest.mark.parametrize("name", attention.REPLACES)
def test_the_attention_implementations_are_named(name: str) -> None:
    assert f"`{name}`" in section("Supported families")


@pytest.mark.parametrize("name", [*refusals.REFUSED_OPTIONS, "generate_batch"])
def test_refused_options_are_named(name: str) -> None:
    assert f"`{name}`" in section("Refused calls")


def test_the_code_blocks_run(llava: Subject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(criteria, "_registry", dict(criteria._registry))
    names: dict[str, Any] = {"model": llava.model, "inputs": llava.prompts[0], "__name__": "docs"}
    for block in BLOCKS:
        exec(block, names)
    assert capsys.readouterr().out == "[(8, 2)]\n"
    with himap.prune(llava.model, names["config"]) as pruning:
        llava.model(**llava.prompts[0])
    assert pruning.kept == [(8, 2)]
    suite = names["TestHiddenNorm"]()
    for test in filter(re.compile("test_").match, dir(suite)):
        getattr(suite, test)()


def test_a_criterion_is_added_by_one_file(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "himap", tmp_path / "himap")
    (tmp_path / "himap" / "criteria" / "hidden_norm.py").write_text(BLOCKS[1], encoding="utf-8")
    code = (
        "from himap import PruningConfig, criteria; PruningConfig(2, 50, 8, 75, 'hidden_norm');"
        "assert type(criteria.create('hidden_norm', 0)).__name__ == 'HiddenNorm'"
    )
    completed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
