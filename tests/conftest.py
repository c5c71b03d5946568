"""Fixtures of every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# a page without a server, as AppTest runs it, does not read the dashboard's own config.toml, which says the same
os.environ.setdefault("STREAMLIT_SERVER_ADDRESS", "localhost")


@pytest.fixture(autouse=True)
def _same_working_folder() -> Iterator[None]:
    """A test that leaves another working folder fails itself, not the tests after it, whose folder is then gone."""
    before = Path.cwd()
    yield
    try:
        left = Path.cwd() != before
    except FileNotFoundError:
        left = True
    os.chdir(before)
    assert not left
