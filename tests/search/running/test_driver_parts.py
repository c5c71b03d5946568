"""What the driver hands along and holds back: rivals, known results, latencies in quiet, slow asks."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from himap import PruningConfig
from search.running.driver import Driver
from search.sampling.problem import Goals
from search.sampling.space import SearchSpace, effective
from search.studies.study import Candidate, Study
from search.studies.study_run import StudyRun
from search.workers.pool import Job, Outcome
from storage import Store, open_store
from tests.search.search_helpers import IMAGE_TOKENS, KEY, LAYERS, ScriptedPool, made_up, trial

BASELINES: Any = [("dense", PruningConfig.dense()), ("paper", PruningConfig.paper())]
TIMING = {"median": 4.0, "low": 3.0, "high": 5.0, "device": "quiet"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'himap.db'}") as opened:
        yield opened


def open_run(store: Store, budget: int, **options: Any) -> StudyRun:
    study_id = store.study(KEY)
    stored = store.trials(study_id)
    study = Study(SearchSpace(LAYERS), BASELINES, IMAGE_TOKENS, "random", 0, stored, **options)
    return StudyRun(KEY, study_id, study, budget, stored)


def measured(job: Job) -> Outcome:
    """As the workers answer: scores with a measurement, latency only when asked for it."""
    if job.timed:
        return Outcome(job, dict(TIMING))
    fields = made_up(job.config)
    del fields["latency_ms"]
    right = round(20 * fields["accuracy"])
    return Outcome(job, {**fields, "scores": (1.0,) * right + (0.0,) * (20 - right)})


def run(store: Store, pair: StudyRun, answer: Any = measured, race: bool = True) -> ScriptedPool:
    pool: Any = ScriptedPool(answer)
    Driver(store, pool, [pair], lambda *_: None, race).run()
    scripted: ScriptedPool = pool
    return scripted


@pytest.mark.parametrize("race", [True, False])
def test_the_front_races_against_what_the_sampler_asks_for(store: Store, race: bool) -> None:
    sent: list[Job] = []

    def answer(job: Job) -> Outcome:
        sent.append(job)
        return measured(job)

    run(store, open_run(store, 12), answer, race)
    baselines, searched = sent[:2], [job for job in sent[2:] if not job.timed]
    assert all(job.rivals == () for job in baselines)
    assert len(searched) == 10
    assert any(job.rivals for job in searched) == race
    if race:
        last = searched[-1].rivals
        assert {r.number for r in last} <= set(range(12))
        assert all(len(r.scores) == 20 and r.flops > 0 for r in last)


def test_a_stopped_measurement_is_stored_as_an_estimate_and_stays_off_the_front(store: Store) -> None:
    def answer(job: Job) -> Outcome:
        outcome = measured(job)
        if job.rivals:
            stopped = {"state": "pruned", "reason": "less accurate than trial 0", "n": 8, "flops": 1.0}
            outcome = Outcome(job, {**outcome.fields, **stopped})  # type: ignore[dict-item]
        return outcome

    pair = open_run(store, 9)
    run(store, pair, answer)
    stopped = [t for t in store.trials(pair.study_id) if t.state == "pruned"]
    assert len(stopped) == 7  # the baselines run to the end
    assert all((t.n, t.reason) == (8, "less accurate than trial 0") for t in stopped)


def test_what_another_study_measured_is_stored_with_its_source_and_not_measured(store: Store) -> None:
    there = trial(17, PruningConfig(2, 50, 8, 75.1), scores=(1.0, 0.0))
    known = {effective(PruningConfig.paper(), IMAGE_TOKENS): ("study b, trial 17", there)}
    pair = open_run(store, 4, known=known)
    handed: list[PruningConfig] = []

    def answer(job: Job) -> Outcome:
        handed.append(job.config)
        return measured(job)

    run(store, pair, answer)
    assert PruningConfig.paper() not in handed
    paper = store.trials(pair.study_id)[1]
    assert (paper.origin, paper.parent, paper.seconds) == ("paper", "study b, trial 17", 0)
    assert (paper.config.r2, paper.accuracy, paper.scores) == (75, there.accuracy, (1.0, 0.0))
    assert [t.number for t in store.trials(pair.study_id)] == list(range(4))


def test_latency_of_front_and_landmarks_comes_last_and_alone(store: Store) -> None:
    order: list[bool] = []
    pools: list[ScriptedPool] = []

    def answer(job: Job) -> Outcome:
        order.append(job.timed)
        assert not (job.timed and pools and pools[0].running)
        return measured(job)

    pool: Any = ScriptedPool(answer)
    pools.append(pool)
    pair = open_run(store, 10)
    Driver(store, pool, [pair], lambda *_: None).run()
    assert order == sorted(order)
    trials = store.trials(pair.study_id)
    assert pair.trials == sorted(pair.trials, key=lambda t: [p.number for p in pair.trials].index(t.number))
    timed = {t.number for t in trials if t.latency_ms == 4.0}
    assert {0, 1} <= timed
    assert sum(order) == len(timed)
    assert all(math.isnan(t.latency_ms) for t in trials if t.number not in timed)
    handed: list[Job] = []
    run(store, open_run(store, 10), lambda job: handed.append(job) or measured(job))  # type: ignore[func-returns-value]
    assert handed == []  # nothing is timed again


def test_where_latency_is_an_objective_a_result_counts_once_it_is_timed(store: Store) -> None:
    pair = open_run(store, 14, goals=Goals(("accuracy", "latency")))
    run(store, pair)
    assert {t.latency_ms for t in store.trials(pair.study_id)} == {4.0}
    told = pair.study._study.get_trials(deepcopy=False)
    assert len(told) == 14
    assert {t.values[1] for t in told} == {4.0}
    assert pair.done


def test_results_are_committed_while_a_slow_ask_runs_and_told_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = open_run(store, 6)
    committed, asking = threading.Event(), threading.Event()
    told: list[int] = []
    ask, tell = Study.ask, Study.tell

    def slow(study: Study) -> Candidate | None:
        candidate = ask(study)
        if candidate is not None and candidate.number == 3:
            asking.set()
            assert committed.wait(20), "nothing was committed while the ask ran"
            assert told == [0, 1]
            asking.clear()
        return candidate

    def late(study: Study, candidate: Candidate, result: Any) -> None:
        assert not asking.is_set()
        told.append(candidate.number)
        tell(study, candidate, result)

    monkeypatch.setattr(Study, "ask", slow)
    monkeypatch.setattr(Study, "tell", late)
    pool: Any = ScriptedPool(measured)

    def stored(_: StudyRun, result: Any) -> None:
        if asking.is_set():
            committed.set()

    Driver(store, pool, [pair], stored).run()
    assert sorted(told) == list(range(6))
