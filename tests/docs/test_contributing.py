"""CONTRIBUTING.md: its drawing is current, and the places it names exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests import module_map

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_drawing_is_current() -> None:
    assert module_map.replaced(TEXT) == TEXT, "run python -m tests.module_map"


def test_no_arrow_points_upwards() -> None:
    assert [line for line in module_map.drawing().splitlines() if "↑" in line] == []


def test_importers_stand_above_what_they_import() -> None:
    known = {"a": ["c"], "b": ["a", "c"], "c": []}
    assert module_map.importers_first(known) == ["b", "a", "c"]


def test_an_arrow_upwards_is_marked() -> None:
    drawn = {"p/a": {"p/b"}, "p/b": {"p/a", "p/c"}, "p/c": set()}
    lines = "\n".join(module_map.inside("p", drawn))
    assert lines.count("↑") == 1


def test_files_that_it_names_exist() -> None:
    paths = [path for path in re.findall(r"`([\w./]+/[\w.]*)`", TEXT) if "NAME" not in path]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_names_that_it_tells_to_extend_exist() -> None:
    for name, path in re.findall(r"`([A-Z_]+)`[^`]* in `([\w/]+\.py)`", TEXT):
        assert re.search(rf"^{name}\b", (ROOT / path).read_text(), flags=re.MULTILINE), name
