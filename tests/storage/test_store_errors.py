"""A store that cannot be used says so in one line: what it got, what it expected, what to do."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from storage import StorageError, StoreMissingError, StudyKey, open_store
from storage.sql import connection


def message(url: str, *, readonly: bool = False) -> str:
    with pytest.raises(StorageError) as caught:
        open_store(url, readonly=readonly)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_that_is_not_sqlite(tmp_path: Path, readonly: bool) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database " * 100)
    text = message(f"sqlite:///{file}", readonly=readonly)
    assert "notes.txt" in text
    assert "expected a SQLite file: choose another --storage" in text
    assert file.read_text() == "not a database " * 100


def test_a_directory_and_a_missing_folder(tmp_path: Path) -> None:
    assert "got the directory" in message(f"sqlite:///{tmp_path}")
    text = message(f"sqlite:///{tmp_path / 'nowhere' / 'himap.db'}")
    assert f"folder {tmp_path / 'nowhere'}" in text
    assert "create it first" in text
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "url", ["himap.db", "", "mysql://somewhere/x", "postgres://somewhere/x", "sqlite://", "sqlite:///:memory:"]
)
def test_urls_that_name_no_store(url: str) -> None:
    assert "expected sqlite:///FILE" in message(url)


def test_a_readonly_store_that_is_not_there_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(StoreMissingError, match=r"no file .*himap\.db yet; start a search"):
        open_store(f"sqlite:///{tmp_path / 'himap.db'}", readonly=True)
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreMissingError, match="no studies yet"):
        open_store(f"sqlite:///{tmp_path / 'empty.db'}", readonly=True)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.db"]
    assert (tmp_path / "empty.db").stat().st_size == 0


def test_a_store_that_disappears_while_it_is_read_is_not_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "himap 1.db"
    url = f"sqlite:///{file}"
    with open_store(url) as store:
        store.study(StudyKey("m", "d", "b", "s", 1, 0, "x"))
    with open_store(url, readonly=True) as reader:
        assert len(reader.studies()) == 1
        file.unlink()
        with pytest.raises(StorageError, match="unable to open"):
            reader.version_stamp()
        assert list(tmp_path.iterdir()) == []
        with open_store(url) as store:
            assert reader.studies() == store.studies() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "you may write" in message(f"sqlite:///{tmp_path / 'himap.db'}")


def test_a_store_that_another_program_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.2)
    file = tmp_path / "himap.db"
    with open_store(f"sqlite:///{file}") as store:
        store.study(StudyKey("m", "d", "b", "s", 1, 0, "x"))
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"locked; another program held it .* try again"):
            store.study(StudyKey("m", "d", "b", "s", 1, 1, "x"))
        assert len(store.studies()) == 1  # reading goes on
        other.execute("ROLLBACK")
        other.close()
        assert store.study(StudyKey("m", "d", "b", "s", 1, 1, "x"))


def test_an_unreachable_server_and_its_password_stays_secret() -> None:
    text = message("postgresql://someone:hunter2@127.0.0.1:1/himap")
    assert "hunter2" not in text
    assert "postgresql://someone:***@127.0.0.1:1/himap" in text
    assert "check that the server runs" in text
    assert "hunter2" not in message("postgresql+nothing://someone:hunter2@127.0.0.1:1/himap")
    assert "hunter2" not in message("postgresql//someone:hunter2@127.0.0.1:port/himap")


def test_a_file_with_a_question_mark_is_not_cut_short(tmp_path: Path) -> None:
    assert "expected sqlite:///FILE, a file without ? in its path" in message(f"sqlite:///{tmp_path / 'what?.db'}")
    assert list(tmp_path.iterdir()) == []


def test_postgresql_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'himap-search[postgres]'" in message("postgresql://somebody@localhost/himap")


def test_a_database_that_does_not_exist(postgres: Any) -> None:
    text = message(postgres.get_uri(database="nothing_here"))
    assert "nothing_here" in text
    assert "check that the server runs and that host, port, user and database are right" in text
