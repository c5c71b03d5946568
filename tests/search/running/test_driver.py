"""The driver: committed before told, lost jobs retried, abandoned runs ended, stopping drains."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from himap import PruningConfig
from search.running.driver import Driver
from search.sampling.space import SearchSpace
from search.studies.study import Candidate, Study
from search.studies.study_run import StudyRun
from search.workers.pool import Job, Outcome
from storage import StorageError, Store, StudyKey, Trial, open_store
from tests.search.search_helpers import IMAGE_TOKENS, KEY, LAYERS, ScriptedPool, made_up


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'himap.db'}") as opened:
        yield opened


def open_run(store: Store, budget: int, benchmark: str = "pope") -> StudyRun:
    key = StudyKey(KEY.model, KEY.weights_digest, benchmark, KEY.split, 20, 0, KEY.space)
    study_id = store.study(key)
    stored = store.trials(study_id)
    baselines: Any = [("dense", PruningConfig.dense()), ("paper", PruningConfig.paper())]
    study = Study(SearchSpace(LAYERS), baselines, IMAGE_TOKENS, "random", 0, stored)
    return StudyRun(key, study_id, study, budget, stored)


def drive(
    store: Store, pairs: list[StudyRun], answer: Callable[[Job], Outcome], on_trial: Any = lambda *_: None
) -> ScriptedPool:
    pool: Any = ScriptedPool(answer)
    Driver(store, pool, pairs, on_trial).run()
    scripted: ScriptedPool = pool
    return scripted


def measured(job: Job) -> Outcome:
    return Outcome(job, made_up(job.config))


def test_every_pair_reaches_its_budget_and_what_is_stored_is_what_is_shown(store: Store) -> None:
    pairs = [open_run(store, 7), open_run(store, 5, "mme")]
    shown: list[tuple[str, int]] = []
    drive(store, pairs, measured, lambda pair, trial: shown.append((pair.key.benchmark, trial.number)))
    for pair, budget in zip(pairs, (7, 5), strict=True):
        assert [t.number for t in store.trials(pair.study_id)] == list(range(budget))
        assert sorted(pair.trials, key=lambda t: t.number) == store.trials(pair.study_id)
        assert [n for name, n in shown if name == pair.key.benchmark] == [t.number for t in pair.trials]
    assert {name for name, _ in shown[:4]} == {"pope", "mme"}  # in turn, not one after the other


def test_a_larger_budget_goes_on(store: Store) -> None:
    drive(store, [open_run(store, 4)], measured)
    again = open_run(store, 4)
    assert again.done
    assert drive(store, [again], lambda job: pytest.fail(f"measured {job}")).jobs == []
    pair = open_run(store, 9)
    drive(store, [pair], measured)
    assert [t.number for t in store.trials(pair.study_id)] == list(range(9))


def test_committed_before_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, told = open_run(store, 5), Study.tell

    def tell(study: Study, candidate: Candidate, trial: Trial) -> None:
        assert trial in store.trials(pair.study_id)
        told(study, candidate, trial)

    monkeypatch.setattr(Study, "tell", tell)
    drive(store, [pair], measured)
    assert len(pair.trials) == 5


def test_what_cannot_be_stored_does_not_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, add = open_run(store, 9), store.add

    def fails_later(study_id: int, trial: Trial) -> None:
        add(study_id if len(pair.trials) < 3 else 77, trial)

    monkeypatch.setattr(store, "add", fails_later)
    with pytest.raises(StorageError, match="has no study 77"):
        drive(store, [pair], measured)
    assert pair.trials == store.trials(pair.study_id)
    assert len(pair.trials) == 3


def test_a_lost_job_is_retried_twice_and_then_recorded_as_failed(store: Store) -> None:
    tries: dict[PruningConfig, int] = {}

    def answer(job: Job) -> Outcome:
        tries[job.config] = tries.get(job.config, 0) + 1
        lost = job.config == PruningConfig.dense() or (job.config.r1 == 50 and tries[job.config] <= 2)
        return Outcome(job, None, "the worker died", lost=True) if lost else measured(job)

    pair = open_run(store, 6)
    drive(store, [pair], answer)
    trials = store.trials(pair.study_id)
    assert tries[PruningConfig.dense()] == tries[PruningConfig.paper()] == 3
    assert [(t.origin, t.state, t.reason) for t in trials[:2]] == [
        ("dense", "failed", "the worker died"),
        ("paper", "complete", ""),
    ]
    assert [t.number for t in trials] == list(range(6))


def test_a_measurement_that_fails_is_recorded_and_not_retried(store: Store) -> None:
    pair, seen = open_run(store, 5), []

    def answer(job: Job) -> Outcome:
        seen.append(job.config)
        return Outcome(job, None, "ValueError: bad") if len(seen) == 2 else measured(job)

    drive(store, [pair], answer)
    assert len(seen) == len(set(seen)) == 5
    assert [t.reason for t in store.trials(pair.study_id) if not t.complete] == ["ValueError: bad"]


def test_a_pair_in_which_everything_fails_ends_early_and_the_others_go_on(store: Store) -> None:
    bad, good = open_run(store, 100), open_run(store, 20, "mme")

    def answer(job: Job) -> Outcome:
        return Outcome(job, None, "an image is gone") if job.benchmark == "pope" else measured(job)

    drive(store, [bad, good], answer)
    assert 8 <= len(store.trials(bad.study_id)) <= 8 + 2  # with what was running by then
    assert re.match(r"pope: the last \d+ measurements failed, the last one with: an image is gone; ", bad.abandoned)
    assert (len(store.trials(good.study_id)), good.abandoned) == (20, "")


def test_failures_among_successes_do_not_end_it(store: Store) -> None:
    turn = iter(range(100))
    pair = open_run(store, 30)
    drive(store, [pair], lambda job: measured(job) if next(turn) % 8 == 7 else Outcome(job, None, "bad"))
    assert len(pair.trials) == 30
    assert not pair.abandoned


@pytest.mark.parametrize("lost", [False, True])
def test_stopping_stores_what_is_running_and_hands_out_nothing_more(store: Store, lost: bool) -> None:
    pair = open_run(store, 50)
    drivers: list[Driver] = []
    handed: list[Job] = []

    def answer(job: Job) -> Outcome:
        handed.append(job)
        if len(handed) == 4:
            drivers[0].stop()
        return Outcome(job, None, "died", lost=True) if lost and len(handed) > 4 else measured(job)

    pool: Any = ScriptedPool(answer, room=3)
    drivers.append(Driver(store, pool, [pair], lambda *_: None))
    drivers[0].run()
    assert (len(handed), pool.running) == (6, 0)
    assert len(store.trials(pair.study_id)) == (4 if lost else 6)
    assert not pair.done
    rest = open_run(store, 50)
    drive(store, [rest], measured)
    assert [t.number for t in store.trials(rest.study_id)] == list(range(50))


def test_a_space_that_runs_out_ends_the_pair(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = open_run(store, 10)
    asks = iter([Candidate(0, PruningConfig.dense(), "dense"), None])
    monkeypatch.setattr(pair.study, "ask", lambda: next(asks))
    drive(store, [pair], measured)
    assert pair.exhausted
    assert len(pair.trials) == 1
