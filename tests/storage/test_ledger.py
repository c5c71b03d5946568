"""Answers and plans: added once, never changed, and noticed where somebody did."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from sqlalchemy import text

from storage import Ledger, PlanRecord, StorageError, Store, StudyKey, TamperedError, open_store

PLAN = PlanRecord("0123", "pope", "", 2000, 0.05, '{"margins": [0.01]}')


@pytest.fixture
def ledger(store: Store, key: StudyKey) -> Ledger:
    return Ledger(store, store.study(key))


def test_answers_come_back_in_pieces(ledger: Ledger) -> None:
    ledger.add("validation", 120, {0: [1.0, 0.0], 7: [0.3, 1.0]})
    ledger.add("validation", 222, {0: [1.0]})
    ledger.add("test", 0, {0: [0.0]})
    assert ledger.answers("validation") == {0: [(120, (1.0, 0.0)), (222, (1.0,))], 7: [(120, (0.3, 1.0))]}
    assert ledger.answers("test") == {0: [(0, (0.0,))]}


def test_a_piece_is_stored_once(ledger: Ledger) -> None:
    ledger.add("test", 0, {3: [1.0, 0.0]})
    ledger.add("test", 0, {3: [1.0, 0.0]})  # a commit whose reply was lost
    for start, scores in ((0, [1.0, 1.0]), (1, [0.0]), (0, [1.0])):
        with pytest.raises(StorageError, match="already has other answers of trial 3 to test question"):
            ledger.add("test", start, {3: scores})
    assert ledger.answers("test") == {3: [(0, (1.0, 0.0))]}


def test_edited_answers_are_refused(ledger: Ledger, store: Store) -> None:
    ledger.add("test", 0, {3: [1.0, 0.0]})
    ledger.add("test", 2, {3: [0.0, 0.0]})
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE himap_answers SET start = 4 WHERE start = 2"))
    with pytest.raises(TamperedError, match=r"answers of trial 3 to test questions in .* are not what was written"):
        ledger.answers("test")


def test_removed_answers_are_refused(ledger: Ledger, store: Store) -> None:
    for start in (0, 1, 2):
        ledger.add("test", start, {3: [float(start)]})
    with store.engine.begin() as connection:
        connection.execute(text("DELETE FROM himap_answers WHERE start = 1"))
    with pytest.raises(TamperedError):
        ledger.answers("test")


def test_the_same_plan_again_is_the_stored_one(ledger: Ledger) -> None:
    first = ledger.register(PLAN)
    again = ledger.register(replace(PLAN, created_at=PLAN.created_at.replace(year=2030)))
    assert again == first
    assert ledger.plans() == [first]


def test_a_new_plan_takes_questions_behind_all_earlier_pools(ledger: Ledger, store: Store, key: StudyKey) -> None:
    ledger.register(PLAN)
    other = Ledger(store, store.study(replace(key, seed=9)))
    second = other.register(replace(PLAN, document="{}"))
    assert (second.start, second.level) == (2000, 0.05)
    assert other.register(replace(PLAN, document="{}")) == second


def test_plans_that_are_registered_at_once_share_no_question(url: str, key: StudyKey) -> None:
    with open_store(url) as store:
        studies = [store.study(replace(key, seed=seed)) for seed in range(6)]
    begin = Barrier(6)

    def register(study: int) -> int:
        with open_store(url) as own:
            begin.wait()
            return Ledger(own, study).register(PLAN).start

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(register, studies)) == [2000 * i for i in range(6)]


def test_where_questions_end_each_further_plan_has_half_the_level(ledger: Ledger) -> None:
    finite = replace(PLAN, pool_digest="9a", pool=300)
    levels = [ledger.register(replace(finite, document=document)).level for document in ("1", "2", "3", "2")]
    assert levels == [0.05, 0.025, 0.0125, 0.025]
    assert ledger.register(replace(finite, pool_digest="other")).level == 0.05


def test_an_edited_plan_is_refused(ledger: Ledger, store: Store) -> None:
    ledger.register(PLAN)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE himap_plans SET level = 0.5"))
    with pytest.raises(TamperedError, match=r"plan 1 in .* is not what was written"):
        ledger.plans()
    with pytest.raises(TamperedError):
        ledger.register(PLAN)
