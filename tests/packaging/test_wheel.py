"""The wheel, installed alone: what is in it, and that it runs outside of the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEFT_BEHIND = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "*.db*", "presets", "runs")
PACKAGES = ("dashboard", "himap", "minis", "objectives", "search", "storage")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the repository stays clean and an old build/ cannot leak into it."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=_left_behind)
    run = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*run, "--wheel-dir", str(folder), str(folder / "source")], check=True)
    (built,) = folder.glob("*.whl")
    return built


def _left_behind(folder: str, names: list[str]) -> set[str]:
    if Path(folder) == ROOT:
        return LEFT_BEHIND(folder, names)
    return {name for name in names if name == "__pycache__"}


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Path:
    """A fresh environment with the wheel; other libraries are those of this one."""
    folder = wheel.parent / "environment"
    venv.create(folder)
    python = folder / "bin" / "python"
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", paths))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True)
    return folder


def run(environment: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program = str(environment / "bin" / command[0])
    return subprocess.run([program, *command[1:]], cwd=folder, env=variables, capture_output=True, text=True)


def test_it_holds_the_packages_and_their_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {"dashboard/.streamlit/config.toml", "dashboard/icon.svg", "minis/card.md"} <= names
    for mini in ("llava-mini", "qwenvl-mini"):
        checkpoint = f"minis/checkpoints/{mini}"
        assert {f"{checkpoint}/model.safetensors", f"{checkpoint}/chat_template.jinja"} <= names


def test_it_holds_every_module(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert modules - names == set()


def test_himap_is_imported_from_it(environment: Path, tmp_path: Path) -> None:
    code = "import himap, sys; himap.prune; print(himap.__file__); print('ray' in sys.modules)"
    ran = run(environment, tmp_path, "python", "-c", code)
    assert ran.returncode == 0, ran.stderr
    file, ray = ran.stdout.splitlines()
    assert Path(file).is_relative_to(environment) and ray == "False"


@pytest.mark.parametrize("command", [["python", "-m", "search.launch"], ["himap-search", "launch"]])
def test_the_first_command_explains_itself(environment: Path, tmp_path: Path, command: list[str]) -> None:
    ran = run(environment, tmp_path, *command, "--help")
    assert ran.returncode == 0, ran.stderr
    assert "--budget" in ran.stdout
