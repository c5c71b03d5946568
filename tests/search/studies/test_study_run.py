"""A study run: one way to the next candidate, and one way from a result to a stored trial."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from himap import PruningConfig
from search.sampling.problem import Goals
from search.sampling.space import SearchSpace
from search.studies.study import Baseline, Candidate
from search.studies.study_run import StudyRun, trial_of
from storage import Latency, Store, open_store
from tests.search.search_helpers import IMAGE_TOKENS, measurement, open_run, trial


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'himap.db'}") as opened:
        yield opened


def next_of(run: StudyRun) -> Candidate:
    candidate = run.next()
    assert candidate is not None
    return candidate


def test_a_candidate_counts_as_running_until_its_result_is_stored(store: Store) -> None:
    run = open_run(store, 2)
    first, second = next_of(run), next_of(run)
    assert (run.wants, run.done, run.progress) == (False, False, 1.0)
    run.commit(second, measurement(second.config))
    run.commit(first, measurement(first.config))
    assert run.done
    assert [t.number for t in run.trials] == [1, 0]
    assert store.trials(run.study_id) == sorted(run.trials, key=lambda t: t.number)


def test_a_lost_candidate_comes_first_twice_and_then_has_failed(store: Store) -> None:
    run = open_run(store, 5)
    candidate = next_of(run)
    for _ in range(2):
        run.commit(candidate, None, "the worker died", lost=True)
        assert run.trials == []
        assert next_of(run) is candidate
    run.commit(candidate, None, "the worker died", lost=True)
    assert [(t.number, t.state, t.reason) for t in run.trials] == [(0, "failed", "the worker died")]


def test_a_known_result_is_stored_in_place_of_a_measurement(store: Store) -> None:
    dense = PruningConfig.dense()
    there = trial(7, dense, "dense")
    run = open_run(store, 3, known={SearchSpace.effect_key(dense, IMAGE_TOKENS): ("study b, trial 7", there)})
    assert run.next() is None
    (reused,) = run.trials
    assert (reused.number, reused.reused, reused.parent, reused.seconds) == (0, True, "study b, trial 7", 0.0)
    assert next_of(run).config == PruningConfig.paper()


def test_a_latency_is_reused_only_from_a_device_of_this_study(store: Store) -> None:
    paper, fastv, more = PruningConfig.paper(), PruningConfig.fastv(), PruningConfig(2, 90, 8, 90)
    there = {paper: "H100", fastv: "none", more: "H100"}  # `measurement` is made on "none"
    known = {
        SearchSpace.effect_key(config, IMAGE_TOKENS): (f"study b, trial {n}", trial(n, config, device=device))
        for n, (config, device) in enumerate(there.items())
    }
    baselines: list[Baseline] = [("dense", PruningConfig.dense())]
    starts = [(config, "study c") for config in there]
    run = open_run(store, 4, baselines=baselines, known=known, warm_starts=starts)
    dense = next_of(run)
    run.commit(dense, measurement(dense.config))
    while len(run.trials) < 4:
        assert run.next() is None
    assert all(t.reused and t.device == there[t.config] for t in run.trials[1:])
    assert [t.latency_ms > 0 for t in store.trials(run.study_id)] == [True, False, True, False]


def test_without_trials_of_its_own_a_study_reuses_no_latency(store: Store) -> None:
    dense = PruningConfig.dense()
    known = {SearchSpace.effect_key(dense, IMAGE_TOKENS): ("study b, trial 7", trial(7, dense, "dense"))}
    run = open_run(store, 3, known=known)
    assert run.next() is None
    assert math.isnan(run.trials[0].latency_ms)


def test_latencies_of_a_study_count_from_its_dense_trial(store: Store) -> None:
    """One that was timed before dense, or reused, is counted anew; its speed-up and what was timed stay."""
    run = open_run(store, 3)
    dense, paper = next_of(run), next_of(run)
    for candidate in (dense, paper):
        run.commit(candidate, measurement(candidate.config, latency_ms=math.nan))
    run.commit_latency(run.trials[1], Latency(30.0, 20.0, 40.0, "none", 60.0))
    assert run.trials[1].latency_ms == 30  # dense was not timed yet
    run.commit_latency(run.trials[0], Latency(20.0, 20.0, 20.0, "none", 20.0))
    assert run.trials[1].latency == Latency(10.0, pytest.approx(20 / 3), pytest.approx(40 / 3), "none", 20.0)
    assert (run.trials[1].speedup, run.trials[1].speedup_low, run.trials[1].speedup_high) == pytest.approx((2, 1.5, 3))
    run.commit_latency(run.trials[1], Latency(5.0, 4.0, 8.0, "none", 10.0))
    assert run.trials[1].latency == Latency(10.0, 8.0, 16.0, "none", 20.0)
    run.commit_latency(run.trials[1], Latency(5.0, 4.0, 8.0, "H100", 10.0))
    assert run.trials[1].latency == Latency(5.0, 4.0, 8.0, "H100", 10.0)  # another device has its own dense
    assert [t.latency for t in store.trials(run.study_id)] == [t.latency for t in run.trials]


def test_a_reused_latency_counts_from_the_dense_trial_of_its_new_study(store: Store) -> None:
    paper = PruningConfig.paper()
    there = trial(7, paper, latency_ms=30.0, latency_low_ms=25.0, latency_high_ms=40.0, dense_latency_ms=60.0)
    known = {SearchSpace.effect_key(paper, IMAGE_TOKENS): ("study b, trial 7", there)}
    run = open_run(store, 2, known=known)
    dense = next_of(run)
    run.commit(dense, measurement(dense.config, latency_ms=20.0, dense_latency_ms=20.0))
    assert run.next() is None
    assert run.trials[1].reused and run.trials[1].latency_ms == pytest.approx(10)
    assert (run.trials[1].dense_latency_ms, run.trials[1].speedup) == (20, pytest.approx(2))


def test_a_trial_that_waits_for_its_latency_is_learned_with_it(store: Store) -> None:
    run = open_run(store, 2, goals=Goals(("accuracy", "latency")))
    first, second = next_of(run), next_of(run)
    for candidate in (first, second):
        run.commit(candidate, measurement(candidate.config, latency_ms=math.nan))
    assert [t.number for t in run.untimed] == [0, 1]
    run.commit_latency(run.untimed[0], Latency(4.0, 3.0, 5.0, "idle"))
    run.commit_latency(run.untimed[0], None)
    assert run.done
    assert [t.latency_ms == 4.0 for t in store.trials(run.study_id)] == [True, False]
    values = [t.values for t in run.study._study.get_trials(deepcopy=False)]
    assert values[0] == [run.trials[0].accuracy, 4.0]


def test_a_result_that_makes_no_sense_is_a_failure() -> None:
    candidate = Candidate(3, PruningConfig.paper(), "sampler", parent="study a, trial 1")
    failed = trial_of(candidate, measurement(candidate.config, accuracy=math.nan))
    assert (failed.state, failed.parent) == ("failed", "study a, trial 1")
    assert failed.reason.startswith("the worker returned nonsense: trial 3: got accuracy nan")
    assert math.isnan(failed.flops)


def test_a_measurement_with_a_reason_is_a_pruned_trial() -> None:
    candidate = Candidate(3, PruningConfig.paper(), "sampler")
    pruned = trial_of(candidate, measurement(candidate.config, n=8), "less accurate than trial 0")
    assert (pruned.state, pruned.reason, pruned.n) == ("pruned", "less accurate than trial 0", 8)
    assert pruned.versions["torch"] and pruned.config == candidate.config
