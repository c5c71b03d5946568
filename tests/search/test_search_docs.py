"""docs/search.md: its commands and its example are ones that exist."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

from search import launch, to_optuna
from search.integrations.ray_tune import Plan

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "search.md").read_text(encoding="utf-8")


def test_the_commands_exist() -> None:
    lines = re.findall(r"^python -m (search\.\w+) (.*)$", TEXT, flags=re.MULTILINE)
    assert [name for name, _ in lines] == ["search.status", "search.launch", "search.to_optuna"]
    given = launch.parser().parse_args(lines[1][1].split())
    assert (given.address, given.gpus_per_worker) == ("10.0.0.5:6379", 0.5)
    to_optuna.parser().parse_args(lines[2][1].split())


def test_the_example_names_what_there_is() -> None:
    example = TEXT.split("```python\n")[1].split("```")[0]
    for node in ast.walk(ast.parse(example)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, alias.name) for alias in node.names)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Plan":
            assert {keyword.arg for keyword in node.keywords} <= set(Plan.__dataclass_fields__)
