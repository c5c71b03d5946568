"""Fixtures of every test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _local_pages() -> None:
    """A page without a server, as AppTest runs it, does not read the dashboard's own config.toml; this does."""
    if "streamlit" in sys.modules:
        sys.modules["streamlit"].config.set_option("server.address", "localhost")


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
