"""The folders of the dashboard know only those below them."""

from __future__ import annotations

import ast
from pathlib import Path

DASHBOARD = Path(__file__).resolve().parents[2] / "dashboard"
ORDER = ("views", "figures", "wording", "analysis", "access")


def imported_folders(path: Path) -> set[str]:
    modules = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return {module.split(".")[1] for module in modules if module.startswith("dashboard.")}


def test_each_folder_imports_only_from_itself_and_those_below() -> None:
    for index, folder in enumerate(ORDER):
        for path in (DASHBOARD / folder).glob("*.py"):
            allowed = {*ORDER[index:], *(["context"] if folder == "views" else [])}
            assert imported_folders(path) <= allowed, path
    assert {path.name for path in DASHBOARD.iterdir() if (path / "__init__.py").exists()} == set(ORDER)
