"""Which code and versions a number came from."""

from __future__ import annotations

import re
from importlib.metadata import version

from objectives import provenance


def test_versions_are_the_installed_ones() -> None:
    found = provenance.versions()
    assert found["torch"] == version("torch") and found["transformers"] == version("transformers")


def test_a_package_that_is_not_there_is_left_out(monkeypatch: object) -> None:
    found = provenance.versions()
    assert set(found) <= set(provenance._PACKAGES)


def test_the_commit_is_short_and_says_whether_the_tree_differs() -> None:
    assert re.fullmatch(r"([0-9a-f]{12}(\+changes)?)?", provenance.commit())
