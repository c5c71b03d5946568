"""Fixtures of every test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_SLOW = (  # files that run first, so that no worker waits for one of them at the end
    "test_chaos",
    "test_launch_process",
    "test_service_browser",
    "test_launch",
    "test_ray_tune",
    "test_hub_folders",
    "test_dashboard_browser",
    "test_pages_browser",
    "test_launch_certified",
    "test_cluster",
    "test_pool",
    "test_examples",
    "test_repeatable",
    "test_custom_search",
    "test_launch_durable",
    "test_upload_browser",
    "test_memory",
    "test_engine",
    "test_wheel",
    "test_service",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the slow files to the front."""
    places = {name: place for place, name in enumerate(_SLOW)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


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
