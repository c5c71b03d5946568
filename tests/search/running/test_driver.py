"""The driver: results are committed before they count, lost jobs retried, bad studies abandoned, stops drain."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from himap import PruningConfig
from search.running.driver import Driver
from search.studies.study import Candidate, Study
from search.studies.study_run import StudyRun
from search.workers.jobs import Job, Outcome
from storage import StorageError, Store, Trial, open_store
from tests.search.search_helpers import ScriptedPool, measured, open_run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'himap.db'}") as opened:
        yield opened


def drive(
    runs: list[StudyRun], answer: Callable[[Job], Outcome], on_trial: Callable[[StudyRun, Trial], None] | None = None
) -> ScriptedPool:
    pool = ScriptedPool(answer)
    for run in runs:
        run.on_trial = on_trial
    Driver(pool, runs).run()
    return pool


def test_every_study_reaches_its_budget_and_what_is_stored_is_what_is_shown(store: Store) -> None:
    runs = [open_run(store, 7), open_run(store, 5, "mme")]
    shown: list[tuple[str, int]] = []
    drive(runs, measured, lambda run, trial: shown.append((run.key.benchmark, trial.number)))
    for run, budget in zip(runs, (7, 5), strict=True):
        assert [t.number for t in store.trials(run.study_id)] == list(range(budget))
        assert sorted(run.trials, key=lambda t: t.number) == store.trials(run.study_id)
        assert [n for name, n in shown if name == run.key.benchmark] == [t.number for t in run.trials]
    assert {name for name, _ in shown[:4]} == {"pope", "mme"}  # in turn, not one after the other


def test_a_larger_budget_resumes(store: Store) -> None:
    drive([open_run(store, 4)], measured)
    again = open_run(store, 4)
    assert again.done
    assert drive([again], lambda job: pytest.fail(f"measured {job}")).jobs == []
    run = open_run(store, 9)
    drive([run], measured)
    assert [t.number for t in store.trials(run.study_id)] == list(range(9))


def test_a_result_is_committed_before_the_sampler_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run, tell_study = open_run(store, 5), Study.tell

    def tell(study: Study, candidate: Candidate, trial: Trial) -> None:
        assert trial in store.trials(run.study_id)
        tell_study(study, candidate, trial)

    monkeypatch.setattr(Study, "tell", tell)
    drive([run], measured)
    assert len(run.trials) == 5


def test_what_cannot_be_stored_does_not_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run, add = open_run(store, 9), store.add

    def fails_later(study_id: int, trial: Trial) -> None:
        add(study_id if len(run.trials) < 3 else 77, trial)

    monkeypatch.setattr(store, "add", fails_later)
    with pytest.raises(StorageError, match="has no study 77"):
        drive([run], measured)
    assert run.trials == store.trials(run.study_id)
    assert len(run.trials) == 3


def test_a_lost_job_is_retried_twice_and_then_recorded_as_failed(store: Store) -> None:
    tries: dict[PruningConfig, int] = {}

    def answer(job: Job) -> Outcome:
        tries[job.config] = tries.get(job.config, 0) + 1
        lost = job.config == PruningConfig.dense() or (job.config.r1 == 50 and tries[job.config] <= 2)
        return Outcome(job, reason="the worker died", lost=True) if lost else measured(job)

    run = open_run(store, 6)
    drive([run], answer)
    trials = store.trials(run.study_id)
    assert tries[PruningConfig.dense()] == tries[PruningConfig.paper()] == 3
    assert [(t.origin, t.state, t.reason) for t in trials[:2]] == [
        ("dense", "failed", "the worker died"),
        ("paper", "complete", ""),
    ]
    assert [t.number for t in trials] == list(range(6))


def test_a_measurement_that_fails_is_recorded_and_not_retried(store: Store) -> None:
    run, seen = open_run(store, 5), []

    def answer(job: Job) -> Outcome:
        seen.append(job.config)
        return Outcome(job, reason="ValueError: bad") if len(seen) == 2 else measured(job)

    drive([run], answer)
    assert len(seen) == len(set(seen)) == 5
    assert [t.reason for t in store.trials(run.study_id) if not t.complete] == ["ValueError: bad"]


def test_a_study_in_which_everything_fails_is_abandoned_and_the_others_continue(store: Store) -> None:
    bad, good = open_run(store, 100), open_run(store, 20, "mme")

    def answer(job: Job) -> Outcome:
        return Outcome(job, reason="an image is gone") if job.benchmark == "pope" else measured(job)

    drive([bad, good], answer)
    assert 8 <= len(store.trials(bad.study_id)) <= 8 + 2  # with what was running by then
    assert re.match(r"pope: the last \d+ measurements failed, the last one with: an image is gone; ", bad.abandoned)
    assert (len(store.trials(good.study_id)), good.abandoned) == (20, "")


def test_failures_among_successes_do_not_end_it(store: Store) -> None:
    turn = iter(range(100))
    run = open_run(store, 30)
    drive([run], lambda job: measured(job) if next(turn) % 8 == 7 else Outcome(job, reason="bad"))
    assert len(run.trials) == 30
    assert not run.abandoned


@pytest.mark.parametrize("lost", [False, True])
def test_stopping_stores_what_is_running_and_hands_out_nothing_more(store: Store, lost: bool) -> None:
    run = open_run(store, 50)
    stop, handed = threading.Event(), list[Job]()

    def answer(job: Job) -> Outcome:
        handed.append(job)
        if len(handed) == 4:
            stop.set()
        return Outcome(job, reason="died", lost=True) if lost and len(handed) > 4 else measured(job)

    pool = ScriptedPool(answer, room=3)
    Driver(pool, [run], stop=stop).run()
    assert (len(handed), pool.running) == (6, 0)
    assert len(store.trials(run.study_id)) == (4 if lost else 6)
    assert not run.done
    rest = open_run(store, 50)
    drive([rest], measured)
    assert [t.number for t in store.trials(rest.study_id)] == list(range(50))


def test_a_space_that_runs_out_ends_the_study(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(store, 10)
    asks = iter([Candidate(0, PruningConfig.dense(), "dense"), None])
    monkeypatch.setattr(run.study, "ask", lambda: next(asks))
    drive([run], measured)
    assert run.exhausted
    assert len(run.trials) == 1
