"""docs/pruning.md lists what the code supports and refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import himap
from himap.engine import attention, refusals

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "pruning.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_families_are_those_that_the_code_supports() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", section("Families"), flags=re.MULTILINE)
    assert tuple(listed) == himap.supported_models()


@pytest.mark.parametrize("name", attention.REPLACES)
def test_the_attention_implementations_are_named(name: str) -> None:
    assert f"`{name}`" in section("Families")


@pytest.mark.parametrize("name", [*refusals.REFUSED_OPTIONS, "generate_batch"])
def test_refused_options_are_named(name: str) -> None:
    assert f"`{name}`" in section("Refused, and why")
