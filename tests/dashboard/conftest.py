"""Stores for the tests of the dashboard."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from storage import StudyKey, open_store
from tests.dashboard.app_pages import APP, opened
from tests.dashboard.generated_store import confirmation, failed, fill, searched, study_key, with_criterion


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """A function that opens a page of a dashboard with these arguments."""

    def run(*arguments: str, title: str = "", **link: str | list[str]) -> AppTest:
        monkeypatch.setattr(sys, "argv", [str(APP), *arguments])
        return opened(title, **link)

    return run


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'himap.db'}"


@pytest.fixture
def searched_store(database: str) -> str:
    """The URL of a store with studies of two benchmarks, two of the second."""
    with open_store(database) as store:
        fill(store, study_key("pope"), searched(60))
        fill(store, study_key("aokvqa"), searched(20, seed=1))
        fill(store, study_key("aokvqa", seed=1), searched(12, seed=2))
    return database


@pytest.fixture
def nasty_store(database: str) -> str:
    """The URL of a store in which every text tries to be markup."""
    text = "<img src=x onerror=alert(1)> ![a](http://x/y.png) **b** [l](javascript:alert(1)) :red[r] $x$ | `c`"
    with open_store(database) as store:
        key = StudyKey(f"m{text}", text, f"b{text}", text, 5, 0, text)
        bad = [
            replace(t, config=with_criterion(t.config, text), device=text, commit=text, versions={text: text})
            for t in searched(8)
        ]
        store.confirm(fill(store, key, [*bad, failed(99, text)]), confirmation(bad[2], bad[0]))
    return database
