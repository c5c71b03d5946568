"""pyproject.toml declares what the code imports, in the part that brings it, and nothing else."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.test_boundaries import MAY_IMPORT, all_imports, files, top

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {*MAY_IMPORT, "bench", "tests"}
DISTRIBUTION = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "ruamel": "ruamel.yaml",
}  # other than the module
SEARCH = ("", "search", "flow", "hub", "video", "captions")  # "" is what every installation has
CLONE = ("", "search", "flow", "video", "dev")
PARTS = {
    "himap": ("",),
    **dict.fromkeys(("objectives", "search", "storage", "dashboard", "minis"), SEARCH),
    **dict.fromkeys(("bench", "tests", "examples"), CLONE),
}
NEVER_IMPORTED = {"greenlet", "psycopg"}  # Optuna and SQLAlchemy import them


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*parts: str) -> set[str]:
    """Distributions that parts of the project require themselves; "" is the core."""
    lists = [PROJECT["dependencies"] if part == "" else PROJECT["optional-dependencies"][part] for part in parts]
    names = (re.match(r"[\w.-]+", line) for lines in lists for line in lines)
    return {normalized(name[0]) for name in names if name}


def imported(folder: str) -> set[str]:
    """Distributions that a folder's modules import, also inside functions."""
    modules = {top(name) for path in files(folder) for name in all_imports(path)}
    foreign = modules - OWN - set(sys.stdlib_module_names)
    return {normalized(DISTRIBUTION.get(module, module)) for module in foreign}


@pytest.mark.parametrize("folder", PARTS)
def test_what_is_imported_is_declared(folder: str) -> None:
    assert imported(folder) <= declared(*PARTS[folder])


def test_what_is_declared_is_imported() -> None:
    used = set().union(*map(imported, PARTS))
    assert declared(*SEARCH, "postgres") - used == NEVER_IMPORTED


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text().split("dependencies = [", 1)[1].split("[project.scripts]")[0]
    lines = re.findall(r'^    "(?!himap-search)\S+".*$', text, flags=re.MULTILINE)
    assert len(lines) > 30
    assert [line for line in lines if not re.search(r"  # \w", line)] == []
