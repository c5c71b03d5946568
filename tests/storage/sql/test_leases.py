"""Leases and running trials, on both databases: one holder, expiry, nothing from a former holder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest

from himap import PruningConfig
from storage import Latency, Lease, LeaseLostError, RunningTrial, StorageError, Store, StudyKey, Trial
from storage.sql.connection import transaction
from storage.store import open_store

ME, YOU = Lease("me", "here", 11, "boot ns 1"), Lease("you", "there", 22, "boot ns 2")
TRIAL = RunningTrial(
    3,
    "sampler",
    PruningConfig(2, 50.5, 8, 75.0, "instruction", "intra_column", 2**40),
    "study b, trial 1",
    1,
    datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC),
)


@pytest.fixture
def study(store: Store, key: StudyKey) -> int:
    return store.study(key)


def test_a_held_lease_is_refused_until_it_expires_or_is_given_back(store: Store, study: int) -> None:
    assert store.lease(study) is None
    mine = store.take(study, ME, 60)
    assert (mine.owner, mine.host, mine.pid, mine.birth) == ("me", "here", 11, "boot ns 1")
    assert (mine.expires_at - mine.taken_at).total_seconds() == 60
    assert store.take(study, YOU, 60) == mine == store.lease(study)
    store.release("you")
    assert store.lease(study) == mine
    store.release("me")
    assert store.take(study, YOU, 0).owner == "you"
    assert store.take(study, ME, 60).owner == "me"  # the other's expired at once


def test_a_lease_of_the_dead_is_taken_but_not_that_of_somebody_else(store: Store, study: int) -> None:
    store.take(study, ME, 60)
    assert store.take(study, YOU, 60, dead="somebody").owner == "me"
    assert store.take(study, YOU, 60, dead="me").owner == "you"


def test_renewing_lengthens_it_and_finds_out_that_it_is_lost(store: Store, study: int) -> None:
    before = store.take(study, ME, 1)
    store.renew(study, "me", 60)
    after = store.lease(study)
    assert after is not None
    assert (after.taken_at, after.owner) == (before.taken_at, "me")
    assert after.expires_at > before.expires_at
    with pytest.raises(LeaseLostError, match=r"taken over by process 11 on here.*stored before counts"):
        store.renew(study, "you", 60)
    store.release("me")
    with pytest.raises(LeaseLostError, match="was released"):
        store.renew(study, "me", 60)


def test_a_former_holder_writes_nothing(store: Store, study: int, make_trial: Callable[..., Trial]) -> None:
    store.take(study, ME, 0)
    store.add(study, make_trial(0), "me")  # expired, but nobody took it
    store.take(study, YOU, 60)
    before = store.version_stamp()
    with pytest.raises(LeaseLostError):
        store.add(study, make_trial(1), "me")
    with pytest.raises(LeaseLostError):
        store.set_latency(study, 0, Latency(1, 1, 1, "cpu"), "me")
    with pytest.raises(LeaseLostError):
        store.begin(study, TRIAL, "me")
    assert store.version_stamp() == before
    assert store.running(study) == []
    assert store.trials(study) == [make_trial(0)]
    store.add(study, make_trial(1), "you")


def test_a_lease_is_checked_inside_the_transaction_of_the_write(
    store: Store, url: str, study: int, make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that was overtaken between its check and its write would write into another's study."""
    store.take(study, ME, 60)
    store.add(study, make_trial(0), "me")
    with open_store(url) as other:

        @contextmanager
        def overtaken(engine: Any, **options: Any) -> Iterator[Any]:
            if options.get("write"):
                monkeypatch.undo()
                other.take(study, YOU, 60, dead="me")
            with transaction(engine, **options) as connection:
                yield connection

        writes: tuple[Callable[[], None], ...] = (
            lambda: store.add(study, make_trial(1), "me"),
            lambda: store.set_latency(study, 0, Latency(1, 1, 1, "cpu"), "me"),
            lambda: store.begin(study, TRIAL, "me"),
        )
        for write in writes:
            other.take(study, ME, 60, dead="you")
            monkeypatch.setattr("storage.store.transaction", overtaken)
            with pytest.raises(LeaseLostError):
                write()
    assert store.trials(study) == [make_trial(0)]
    assert store.running(study) == []


def test_running_trials_stay_until_they_are_stored(store: Store, study: int, make_trial: Callable[..., Trial]) -> None:
    store.take(study, ME, 60)
    stamp = store.version_stamp()
    for running in (TRIAL, replace(TRIAL, number=1), replace(TRIAL, attempts=2)):
        store.begin(study, running, "me")
    assert store.running(study) == [replace(TRIAL, number=1), replace(TRIAL, attempts=2)]
    assert store.version_stamp() == stamp  # readers need not read trials again
    store.release("me")
    assert len(store.running(study)) == 2  # for the next one
    store.take(study, YOU, 60)
    store.add(study, make_trial(3), "you")
    assert [one.number for one in store.running(study)] == [1]


def test_of_many_that_want_it_at_once_one_gets_it(url: str, key: StudyKey) -> None:
    with open_store(url) as store:
        study = store.study(key)
    wanting, start = [replace(ME, owner=f"owner {i}") for i in range(6)], Barrier(6)

    def take(wanted: Lease) -> str:
        with open_store(url) as own:
            start.wait()
            return own.take(study, wanted, 60).owner

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(take, wanting))) == 1


def test_an_unknown_study_has_no_lease(store: Store) -> None:
    with pytest.raises(StorageError, match="no study 77"):
        store.take(77, ME, 60)
