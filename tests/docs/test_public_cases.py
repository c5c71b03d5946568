"""The page of public cases names tests and places that exist, and a test for each case."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "results" / "public_cases.md").read_text()
CASES = [line for line in PAGE.partition("## Places looked at")[0].splitlines() if re.match(r"\| (?!kind)", line)]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_each_case_has_a_test() -> None:
    assert len(CASES) >= 55
    assert [line for line in CASES if not NAMED.search(line.rsplit("|", 2)[1])] == []


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))))
def test_a_named_test_exists(file: str, name: str) -> None:
    assert name in {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(node, "name")}
