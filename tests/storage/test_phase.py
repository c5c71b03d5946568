"""The phase of a study follows its newest record and its lease."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from storage import Confirmation, Lease, Ledger, PlanRecord, Store, StudyKey, Trial
from storage.phase import phases
from storage.records import utc_now
from tests.storage.made_confirmation import FULL

LEASE = Lease("me", "here", 7, "")
PLAN = PlanRecord("0123", "pope", "", 2000, 0.05, '{"chains": [[0.01, [3, 7]]]}')


def test_a_study_goes_through_its_phases_and_back(
    store: Store, key: StudyKey, make_trial: Callable[..., Trial]
) -> None:
    study, other = store.study(key), store.study(replace(key, seed=1))
    seen = [phases(store)[study]]

    def look() -> None:
        seen.append(phases(store)[study])

    store.take(study, LEASE, 60)
    look()
    ledger = Ledger(store, study, "me")
    store.add(study, make_trial(0, created_at=utc_now()), "me")
    look()
    ledger.add("validation", 120, {0: [1.0]})
    look()
    ledger.register(replace(PLAN, created_at=utc_now()))
    look()
    ledger.add("test", 0, {0: [1.0]})
    look()
    store.confirm(study, Confirmation(**{**FULL, "created_at": utc_now()}))
    look()
    store.add(study, make_trial(1, created_at=utc_now()), "me")  # a larger budget
    look()
    assert seen == ["waiting", "exploring", "exploring", "refining", "certifying", "certifying", "done", "exploring"]
    assert phases(store)[other] == "waiting"


def test_without_a_process_a_study_waits_unless_it_is_done(
    store: Store, key: StudyKey, make_trial: Callable[..., Trial]
) -> None:
    study = store.study(key)
    store.add(study, make_trial(0, created_at=utc_now()))
    store.take(study, LEASE, -1)  # expired, as after a kill
    assert phases(store) == {study: "waiting"}
    Ledger(store, study).register(replace(PLAN, created_at=utc_now()))
    assert phases(store) == {study: "waiting"}
    store.confirm(study, Confirmation(**{**FULL, "created_at": utc_now()}))
    assert phases(store) == {study: "done"}


def test_a_plan_with_nothing_to_test_is_done(store: Store, key: StudyKey) -> None:
    study = store.study(key)
    Ledger(store, study).register(replace(PLAN, document='{"chains": [[0.01, []], [0.02, []]]}'))
    assert phases(store) == {study: "done"}
