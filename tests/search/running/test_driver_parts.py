"""What the driver hands out and holds back: rivals, known results, latencies on an idle pool, slow asks."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from himap import PruningConfig
from search.running.driver import Driver
from search.sampling.problem import Goals
from search.sampling.space import SearchSpace
from search.studies.study import Candidate, Study
from search.studies.study_run import StudyRun
from search.workers.jobs import Job, Outcome
from storage import Latency, Store, Trial, open_store
from tests.search.search_helpers import BASELINES, IMAGE_TOKENS, ScriptedPool, measurement, open_run, trial

TIMING = Latency(4.0, 3.0, 5.0, "idle")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'himap.db'}") as opened:
        yield opened


def measured(job: Job) -> Outcome:
    """As the workers answer: scores with a measurement, latency only when asked for it."""
    if job.timed:
        return Outcome(job, latency=TIMING)
    right = round(20 * measurement(job.config).accuracy)
    scores = (1.0,) * right + (0.0,) * (20 - right)
    return Outcome(job, measurement(job.config, latency_ms=math.nan, scores=scores))


def drive(run: StudyRun, answer: Callable[[Job], Outcome] = measured) -> ScriptedPool:
    pool = ScriptedPool(answer)
    Driver(pool, [run]).run()
    return pool


@pytest.mark.parametrize("race", [True, False])
def test_the_front_races_against_what_the_sampler_asks_for(store: Store, race: bool) -> None:
    sent: list[Job] = []

    def answer(job: Job) -> Outcome:
        sent.append(job)
        return measured(job)

    drive(open_run(store, 12, race=race), answer)
    baselines, searched = sent[:2], [job for job in sent[2:] if not job.timed]
    assert all(job.rivals == () for job in baselines)
    assert len(searched) == 10
    assert any(job.rivals for job in searched) == race
    if race:
        last = searched[-1].rivals
        assert {r.number for r in last} <= set(range(12))
        assert all(len(r.scores) == 20 and r.flops > 0 for r in last)


def test_a_pruned_measurement_is_stored_as_an_estimate_and_stays_off_the_front(store: Store) -> None:
    def answer(job: Job) -> Outcome:
        outcome = measured(job)
        if job.rivals:
            assert outcome.measurement is not None
            outcome = Outcome(job, replace(outcome.measurement, n=8, flops=1.0), "less accurate than trial 0")
        return outcome

    run = open_run(store, 9)
    drive(run, answer)
    pruned = [t for t in store.trials(run.study_id) if t.state == "pruned"]
    assert len(pruned) == 7  # the baselines run to the end
    assert all((t.n, t.reason) == (8, "less accurate than trial 0") for t in pruned)


def test_what_another_study_measured_is_stored_with_its_parent_and_not_measured(store: Store) -> None:
    there = trial(17, PruningConfig(2, 50, 8, 75.1), scores=(1.0, 0.0))
    known = {SearchSpace.effect_key(PruningConfig.paper(), IMAGE_TOKENS): ("study b, trial 17", there)}
    run = open_run(store, 4, known=known)
    handed: list[PruningConfig] = []

    def answer(job: Job) -> Outcome:
        if not job.timed:
            handed.append(job.config)
        return measured(job)

    drive(run, answer)
    assert PruningConfig.paper() not in handed
    paper = store.trials(run.study_id)[1]
    assert (paper.origin, paper.parent, paper.seconds) == ("paper", "study b, trial 17", 0)
    assert (paper.config.r2, paper.accuracy, paper.scores) == (75, there.accuracy, (1.0, 0.0))
    assert [t.number for t in store.trials(run.study_id)] == list(range(4))


def test_latency_of_front_and_baselines_comes_last_and_alone(store: Store) -> None:
    order: list[bool] = []
    pools: list[ScriptedPool] = []

    def answer(job: Job) -> Outcome:
        order.append(job.timed)
        assert not (job.timed and pools and pools[0].running)
        return measured(job)

    pools.append(ScriptedPool(answer))
    run = open_run(store, 10)
    Driver(pools[0], [run]).run()
    assert order == sorted(order)
    trials = store.trials(run.study_id)
    assert run.trials == sorted(run.trials, key=lambda t: [p.number for p in run.trials].index(t.number))
    timed = {t.number for t in trials if t.latency_ms == 4.0}
    assert {0, 1} <= timed
    assert sum(order) == len(timed)
    assert all(math.isnan(t.latency_ms) for t in trials if t.number not in timed)
    handed: list[Job] = []
    drive(open_run(store, 10), lambda job: handed.append(job) or measured(job))  # type: ignore[func-returns-value]
    assert handed == []  # nothing is timed again


def test_dense_is_timed_first(store: Store) -> None:
    """The latencies of a study count from it."""
    for goals in (Goals(), Goals(("accuracy", "latency"))):
        run = open_run(store, 6, f"pope-{len(goals.objectives[1])}", goals=goals, baselines=[*reversed(BASELINES)])
        timed: list[Job] = []
        drive(run, lambda job, seen=timed: (seen.append(job) if job.timed else None) or measured(job))  # type: ignore[misc, func-returns-value]
        assert timed[0].config.is_dense and len(timed) > 1


def test_where_latency_is_an_objective_a_result_counts_once_it_is_timed(store: Store) -> None:
    run = open_run(store, 14, goals=Goals(("accuracy", "latency")))
    drive(run)
    assert {t.latency_ms for t in store.trials(run.study_id)} == {4.0}
    observed = run.study._study.get_trials(deepcopy=False)
    assert len(observed) == 14
    assert {t.values[1] for t in observed} == {4.0}
    assert run.done


def test_results_are_committed_while_a_slow_ask_runs_and_told_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(store, 6)
    committed, asking = threading.Event(), threading.Event()
    learned: list[int] = []
    ask, tell = Study.ask, Study.tell

    def slow(study: Study) -> Candidate | None:
        candidate = ask(study)
        if candidate is not None and candidate.number == 3:
            asking.set()
            assert committed.wait(20), "nothing was committed while the ask ran"
            assert learned == [0, 1]
            asking.clear()
        return candidate

    def late(study: Study, candidate: Candidate, result: Trial) -> None:
        assert not asking.is_set()
        learned.append(candidate.number)
        tell(study, candidate, result)

    monkeypatch.setattr(Study, "ask", slow)
    monkeypatch.setattr(Study, "tell", late)

    def stored(_: StudyRun, result: Trial) -> None:
        if asking.is_set():
            committed.set()

    run.on_trial = stored
    drive(run)
    assert sorted(learned) == list(range(6))
