"""Which code and versions a number came from."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest

from objectives import provenance


def test_versions_are_the_installed_ones() -> None:
    result = provenance.versions()
    assert result["torch"] == version("torch") and result["transformers"] == version("transformers")


def test_a_package_that_is_not_there_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_PACKAGES", ("torch", "no-such-package-anywhere"))
    provenance.versions.cache_clear()
    assert set(provenance.versions()) == {"torch"}
    provenance.versions.cache_clear()


def test_the_commit_is_short_and_says_whether_the_tree_differs() -> None:
    assert re.fullmatch(r"([0-9a-f]{12}(\+changes)?)?", provenance.commit())
