"""Who may know whom, and the size of things: read from the source of every module."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIGHT = (  # they load no torch
    *("objectives.benchmarks", "objectives.errors", "objectives.evaluation.known_models"),
    *("objectives.flow.results", "objectives.statistics"),
)
MAY_IMPORT: dict[str, set[str]] = {  # packages, or parts of packages
    "himap": set(),
    "objectives": {"himap"},
    "minis": {"objectives", "himap"},
    "storage": {"himap.config", "himap.errors", "himap.files", "himap.presets", "himap.urls"},
    "dashboard": {"storage", "himap.config", "himap.errors", "himap.presets", "himap.urls", *LIGHT},
    "search": {"objectives", "himap", "storage"},
    "bench": {"himap", "objectives", "search", "storage", "minis"},
}
OWNER = {"ray": "search", "optuna": "search", "sqlalchemy": "storage", "streamlit": "dashboard"}
PEERS = {  # files of bench that measure a library itself, beside the package that owns it
    "bench/dashboard/peers.py": {"optuna"},  # writes our trials as Optuna's studies, for optuna-dashboard
    "bench/engine/run.py": {"optuna", "ray"},  # times empty actors, also under Optuna's own SQLite storage
}
PACKAGES = sorted(MAY_IMPORT)
LONGEST_FILE, LONGEST_FUNCTION = 400, 60


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module_file(name: str) -> Path:
    return ROOT.joinpath(*name.split(".")).with_suffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """The modules that import statements name; `from a import b` gives "a" or, if b is a module, "a.b"."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level and node.module, "imports are absolute here"
            for alias in node.names:
                inner = ROOT.joinpath(*node.module.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
                yield f"{node.module}.{alias.name}" if is_module else node.module


def all_imports(path: Path) -> set[str]:
    return set(imported(ast.walk(tree(path))))


def top(name: str) -> str:
    return name.partition(".")[0]


def is_part(name: str, allowed: set[str]) -> bool:
    """Whether a module is one of the allowed modules, or below one."""
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def breaches(package: str) -> list[str]:
    """Imports of the project's other packages that `package` may not know."""
    return [
        f"{module_name(path)} imports {name}"
        for path in files(package)
        for name in sorted(all_imports(path))
        if top(name) in MAY_IMPORT and not is_part(name, {package, *MAY_IMPORT[package]})
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_know_only_whom_they_may(package: str) -> None:
    assert files(package)
    assert breaches(package) == []


def test_himap_stands_on_few_libraries_alone() -> None:
    allowed = {"himap", "torch", "transformers", "yaml", "pydantic", *sys.stdlib_module_names}
    used = {name for path in files("himap") for name in all_imports(path)}
    assert {top(name) for name in used} <= allowed
    assert "torch" in used


@pytest.mark.parametrize(("library", "owner"), OWNER.items())
def test_one_package_owns_each_large_library(library: str, owner: str) -> None:
    users = {str(path.relative_to(ROOT)) for path in files(*PACKAGES) if library in map(top, all_imports(path))}
    peers = {path for path, libraries in PEERS.items() if library in libraries}
    assert peers <= users
    assert {top(path.replace("/", ".")) for path in users - peers} == {owner}


def test_the_dashboard_needs_no_model_library() -> None:
    used = {top(name) for path in files("dashboard", "storage") for name in all_imports(path)}
    assert not used & {"torch", "transformers", "search", "minis"}


def import_graph() -> dict[str, set[str]]:
    """What each module imports, also in function bodies."""
    known = {module_name(path): path for path in files(*PACKAGES)}
    return {name: all_imports(path) & set(known) for name, path in known.items()}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring, or nothing."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for following in sorted(graph[name]):
            if ring := walk(following, [*path, name]):
                return ring
        done.add(name)
        return []

    return next((ring for name in sorted(graph) if (ring := walk(name, []))), [])


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = import_graph()
    assert len(graph) > 50 and sum(map(len, graph.values())) > 100
    assert circle(graph) == []


def test_a_circle_would_be_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_a_public_class_has_a_name_of_its_own() -> None:
    names = Counter(
        node.name
        for path in files(*PACKAGES)
        for node in tree(path).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert len(names) > 100
    assert [name for name, count in names.items() if count > 1] == []


def test_files_and_functions_are_short() -> None:
    long = []
    for path in files(*PACKAGES, "tests"):
        lines = len(path.read_text().splitlines())
        if lines > LONGEST_FILE:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{path.relative_to(ROOT)}: {node.name} has {lines} lines")
    assert long == []


def is_command(path: Path) -> bool:
    return path.name == "__main__.py" or '__name__ == "__main__"' in path.read_text()


def test_libraries_do_not_print() -> None:
    """A command may; a library returns, raises or logs."""
    printing = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files(*PACKAGES)
        if not is_command(path)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


WITHOUT = """
import sys, importlib
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {blocked} else PathFinder.find_spec(name, path, target)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
for name in {modules}:
    importlib.import_module(name)
assert not {blocked} & set(sys.modules)
"""


def load_without(blocked: set[str], packages: list[str]) -> subprocess.CompletedProcess[str]:
    """Loads every module of `packages` in a process that cannot find `blocked`."""
    paths = [path for name in packages for path in (files(name.replace(".", "/")) or [module_file(name)])]
    modules = [module_name(path) for path in paths if not is_command(path)]
    modules = [name for name in modules if name != "dashboard.app"]  # a script for Streamlit to run
    code = WITHOUT.format(blocked=blocked, modules=modules)
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("packages", "blocked"),
    [
        (["himap", "objectives", "minis"], {"ray", "optuna", "sqlalchemy", "streamlit"}),
        (["dashboard", "storage", *LIGHT], {"torch", "transformers", "ray", "optuna", "scipy", "sklearn"}),
    ],
)
def test_packages_load_without_what_others_need(packages: list[str], blocked: set[str]) -> None:
    loaded = load_without(blocked, packages)
    assert loaded.returncode == 0, loaded.stderr[-2000:]


def test_a_library_that_is_needed_would_be_missed() -> None:
    loaded = load_without({"yaml"}, ["himap"])
    assert loaded.returncode != 0 and "No module named 'yaml'" in loaded.stderr
