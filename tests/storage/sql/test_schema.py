"""Versions of the schema: new stores, older ones, newer ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, inspect, text

from storage import SchemaError, StudyKey, Trial, open_store
from storage.sql import connection as engine_module
from storage.sql import schema


def set_version(url: str, version: int) -> None:
    with open_store(url) as store, store.engine.begin() as connection:
        connection.execute(text(f"UPDATE himap_schema SET version = {version}"))


@pytest.mark.parametrize("readonly", [False, True])
def test_a_newer_store_is_refused_and_left_alone(url: str, readonly: bool) -> None:
    set_version(url, 99)
    with pytest.raises(SchemaError, match=r"has schema 99, this program knows up to \d+; update himap-s"):
        open_store(url, readonly=readonly)


def test_an_older_store_is_upgraded_in_order_and_keeps_its_rows(
    url: str, key: StudyKey, make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(url) as store:
        study = store.study(key)
        store.add(study, make_trial(0))
    done: list[int] = []

    def add_column(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE himap_studies ADD COLUMN note VARCHAR"))
        done.append(first)

    first, second = schema.CURRENT + 1, schema.CURRENT + 2
    monkeypatch.setattr(schema, "MIGRATIONS", {first: add_column, second: lambda _: done.append(second)})
    monkeypatch.setattr(schema, "CURRENT", second)
    monkeypatch.setattr(engine_module, "CURRENT", second)
    with pytest.raises(SchemaError, match="run the search on it once"):
        open_store(url, readonly=True)
    for _ in range(2):
        with open_store(url) as store:
            assert store.trials(study) == [make_trial(0)]
            assert "note" in {column["name"] for column in inspect(store.engine).get_columns("himap_studies")}
            with store.engine.connect() as connection:
                assert schema.stored_version(connection) == second
    assert done == [first, second]


def test_a_failing_upgrade_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(url).close()

    def half(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE himap_studies ADD COLUMN note VARCHAR"))
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        newer = schema.CURRENT + 1
        patch.setattr(schema, "MIGRATIONS", {newer: half})
        patch.setattr(schema, "CURRENT", newer)
        patch.setattr(engine_module, "CURRENT", newer)
        with pytest.raises(RuntimeError, match="power cut"):
            open_store(url)
    with open_store(url) as store:
        assert "note" not in {column["name"] for column in inspect(store.engine).get_columns("himap_studies")}


def test_every_version_above_the_first_has_a_migration() -> None:
    assert sorted(schema.MIGRATIONS) == list(range(2, schema.CURRENT + 1))
