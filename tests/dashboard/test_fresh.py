"""A store that was deleted, remade, restored or replaced shows its new content at the next look."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from storage import open_store
from storage.records import utc_now
from tests.dashboard.generated_store import fill, searched, study_key

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"


@pytest.fixture(autouse=True)
def still_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Moments that tell nothing apart, as those of a virtual machine that was restored."""
    moment = utc_now()
    monkeypatch.setattr("storage.store.utc_now", lambda: moment)
    yield


def complete_trials(app: AppTest) -> str:
    app.run()
    assert not app.exception
    (value,) = [metric.value for metric in app.metric if metric.label == "Complete trials"]
    return str(value)


def made(database: str, trials: int) -> None:
    with open_store(database) as store:
        fill(store, study_key(), searched(trials))


def dense_removed(database: str) -> None:
    """The same study with as many writes, but other trials."""
    with open_store(database) as store:
        fill(store, study_key(), searched(13)[1:])


def test_the_next_look_shows_what_is_there(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(APP), "--storage", database])
    app = AppTest.from_file(str(APP), default_timeout=120)
    file, backup = Path(database.removeprefix("sqlite:///")), tmp_path / "backup.db"
    made(database, 12)
    shutil.copy(file, backup)
    assert complete_trials(app) == "12"

    file.unlink()
    assert "No store yet" in [one.value for one in app.run().subheader]
    dense_removed(database)
    complete_trials(app)
    assert "not measured yet" in [metric.value for metric in app.metric]  # as many writes, another study

    shutil.copy(backup, file)
    complete_trials(app)
    assert "not measured yet" not in [metric.value for metric in app.metric]
    with open_store(database) as store:
        fill(store, study_key(), searched(14)[12:13])
    assert complete_trials(app) == "13"
    shutil.copy(backup, file)
    with open_store(database) as store:  # another history from the same backup
        fill(store, study_key(), [searched(16)[14]])
    assert complete_trials(app) == "13"
    assert 14 in list(app.dataframe[1].value["number"])

    with closing(sqlite3.connect(file)) as other:
        other.execute("UPDATE himap_schema SET version = 99")
        other.commit()
    assert "update himap-search" in app.run().error[0].value.replace("\\", "")
