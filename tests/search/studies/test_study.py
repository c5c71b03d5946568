"""One Optuna study: baselines first, no effect twice, and resumed when rebuilt from its rows."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from himap import PruningConfig
from search.errors import UsageError
from search.sampling.problem import SAMPLERS, Goals, check_sampler
from search.sampling.samplers import affordable
from search.sampling.space import DEEP, SHALLOW, SearchSpace
from search.studies.study import Candidate, Study
from storage import Trial
from storage.records import Origin
from tests.search.search_helpers import IMAGE_TOKENS, LAYERS, trial

BASELINES: list[tuple[Origin, PruningConfig]] = [
    ("dense", PruningConfig.dense()),
    ("fastv", PruningConfig.fastv()),
    ("paper", PruningConfig.paper()),
]


def study(sampler: str = "tpe", stored: list[Trial] | None = None, seed: int = 0) -> Study:
    return Study(SearchSpace(LAYERS), BASELINES, IMAGE_TOKENS, sampler, seed, stored or [])


def next_of(current: Study) -> Candidate:
    candidate = current.ask()
    assert candidate is not None
    return candidate


def step(current: Study, **fields: Any) -> Trial:
    candidate = next_of(current)
    result = trial(candidate.number, candidate.config, candidate.origin, **fields)
    current.tell(candidate, result)
    return result


def keys(trials: list[Trial]) -> list[Any]:
    return [SearchSpace.effect_key(t.config, IMAGE_TOKENS) for t in trials]


def test_baselines_come_first_in_order() -> None:
    current = study()
    candidates = [next_of(current) for _ in range(4)]
    assert [c.origin for c in candidates] == ["dense", "fastv", "paper", "sampler"]
    assert [c.number for c in candidates] == [0, 1, 2, 3]
    assert [c.config for c in candidates[:3]] == [config for _, config in BASELINES]


@pytest.mark.parametrize(("sampler", "n"), [("tpe", 80), ("nsga2", 80), ("random", 80), ("gp", 21)])
def test_no_effective_configuration_twice_also_while_some_are_measured(sampler: str, n: int) -> None:
    current = study(sampler)
    waiting = [next_of(current), next_of(current)]
    done: list[Trial] = []
    while len(done) < n:
        waiting.append(next_of(current))
        candidate = waiting.pop(len(done) % 2)
        done.append(trial(candidate.number, candidate.config, candidate.origin))
        current.tell(candidate, done[-1])
    assert len(set(keys(done))) == n
    assert sorted([t.number for t in done] + [c.number for c in waiting]) == list(range(n + 2))


def test_a_sampler_that_repeats_itself_does_not_end_the_search() -> None:
    current = Study(SearchSpace(4), BASELINES[:1], (4,), "random", 0)
    percents = (0, 25, 34, 50, 67, 75, 100)  # one for each count that can be dropped of 1 to 4 tokens
    there_are = {
        SearchSpace.effect_key(PruningConfig(k1, r1, k2, r2, shallow, deep), (4,))
        for k1, k2 in ((1, 2), (1, 3), (2, 3))
        for r1, r2 in itertools.product(percents, percents)
        for shallow, deep in itertools.product(SHALLOW, DEEP)
    }
    keys_asked = []
    while (candidate := current.ask()) is not None:
        keys_asked.append(SearchSpace.effect_key(candidate.config, (4,)))
        current.tell(candidate, trial(candidate.number, candidate.config, candidate.origin))
    assert len(set(keys_asked)) == len(keys_asked)
    assert set(keys_asked) <= there_are
    assert len(keys_asked) > 0.98 * len(there_are)


def test_rebuilt_from_its_trials_it_resumes_without_repeats() -> None:
    before = study()
    stored = [step(before) for _ in range(30)]
    after = study(stored=stored)
    more = [step(after) for _ in range(30)]
    assert [t.number for t in more] == list(range(30, 60))
    assert all(t.origin == "sampler" for t in more)
    assert len(set(keys(stored + more))) == 60


def test_baselines_and_numbers_that_a_kill_cut_off_are_given_out_again() -> None:
    whole = study()
    trials = [step(whole) for _ in range(6)]
    current = study(stored=[t for t in trials if t.number not in (1, 4)])
    again = [next_of(current) for _ in range(3)]
    assert [c.number for c in again] == [1, 4, 6]
    assert again[0].config == PruningConfig.fastv()


def test_failed_trials_are_restored_and_not_asked_for_again() -> None:
    before = study()
    stored = [step(before, reason="out of memory") for _ in range(3)] + [step(before) for _ in range(5)]
    after = study(stored=stored)
    more = [step(after) for _ in range(20)]
    assert len(set(keys(stored + more))) == 28
    states = [t.state.name for t in after._study.get_trials(deepcopy=False)][:8]
    assert states == ["FAIL"] * 3 + ["COMPLETE"] * 5


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_same_seed_and_results_same_asks(sampler: str) -> None:
    first, second, other = study(sampler), study(sampler), study(sampler, seed=1)
    n = 22  # past the first 20, which are random for some samplers
    asks = [[keys([step(one)]) for _ in range(n)] for one in (first, second, other)]
    assert asks[0] == asks[1] != asks[2]


def test_results_reach_the_sampler() -> None:
    current = study()
    results = [step(current) for _ in range(12)]
    known = [t.values for t in current._study.get_trials(deepcopy=False)]
    assert known == [[t.accuracy, t.flops_ratio] for t in results]


def test_a_pruned_trial_reaches_the_sampler_as_an_estimate() -> None:
    current = study()
    for _ in range(3):
        step(current)
    pruned = step(current, state="pruned", reason="worse than trial 1", accuracy=0.25, n=8)
    (last,) = current._study.get_trials(deepcopy=False)[3:]
    assert (last.state.name, last.values) == ("COMPLETE", [0.25, pruned.flops_ratio])


def test_controls_are_measured_and_not_searched() -> None:
    control = PruningConfig(2, 50, 8, 75, "random", "uniform")
    current = Study(SearchSpace(LAYERS), [("random", control)], IMAGE_TOKENS, "random", 0)
    assert step(current).config.phi_deep == "uniform"
    assert current._study.get_trials() == []
    searched = [step(current) for _ in range(40)]
    assert not {t.config.phi_shallow for t in searched} & {"random", "uniform", "downsample"}


def test_limits_reach_the_sampler_by_how_much_they_are_exceeded() -> None:
    goals = Goals(("accuracy", "flops", "latency"), max_drop=2, max_flops=50, max_latency=8)
    current = Study(SearchSpace(LAYERS), BASELINES, IMAGE_TOKENS, "tpe", 0, goals=goals)
    dense, fastv = step(current), step(current)
    observed = current._study.get_trials(deepcopy=False)[1]
    assert observed.values == [fastv.accuracy, fastv.flops_ratio, fastv.latency_ms]
    assert observed.constraints == pytest.approx(
        {
            "drop": dense.accuracy - fastv.accuracy - 0.02,
            "flops": fastv.flops_ratio - 0.5,
            "latency": fastv.latency_ms - 8,
        }
    )
    assert not goals.within(fastv, dense)
    for _ in range(30):
        step(current)
    assert all(len(t.constraints) == 3 for t in current._study.get_trials(deepcopy=False))


def test_a_sampler_told_of_a_limit_keeps_to_it_more_often() -> None:
    def kept(goals: Goals) -> int:
        current = Study(SearchSpace(LAYERS), BASELINES, IMAGE_TOKENS, "tpe", 3, goals=goals)
        return sum(step(current).flops_ratio <= 0.4 for _ in range(100))

    assert kept(Goals(max_flops=40)) > kept(Goals()) + 10


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        (("accuracy", "speed"), "unknown objective 'speed'"),
        (("flops", "latency"), "got the objectives 'flops latency'; expected accuracy and one or two costs"),
        (("accuracy",), "expected accuracy and one or two costs"),
        (("accuracy", "flops", "paper_flops", "latency"), "expected accuracy and one or two costs"),
    ],
)
def test_objectives_that_make_no_front_are_refused(objectives: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Goals(objectives)


def test_warm_starts_come_after_the_baselines_with_their_parents() -> None:
    moved = PruningConfig(4, 60, 9, 60)
    current = Study(
        SearchSpace(LAYERS),
        BASELINES,
        IMAGE_TOKENS,
        "random",
        0,
        warm_starts=[(PruningConfig.paper(), "study a, trial 1"), (moved, "study a, trial 2")],
    )
    candidates = [next_of(current) for _ in range(5)]
    assert [c.origin for c in candidates] == ["dense", "fastv", "paper", "warm_start", "sampler"]
    assert (candidates[3].config, candidates[3].parent) == (moved, "study a, trial 2")


def test_what_another_study_measured_is_handed_out_with_it() -> None:
    same = PruningConfig(2, 50, 8, 75.1)  # keeps as many tokens as the paper's setting
    there = trial(17, same)
    known = {SearchSpace.effect_key(same, IMAGE_TOKENS): ("study b, trial 17", there)}
    current = Study(SearchSpace(LAYERS), BASELINES, IMAGE_TOKENS, "random", 0, known=known)
    candidates = [next_of(current) for _ in range(4)]
    assert [c.known for c in candidates] == [None, None, ("study b, trial 17", there), None]


@pytest.mark.parametrize(
    ("trials", "asks", "workers", "wanted"),
    [
        ([], [], 1, False),
        ([1.0] * 10, [], 2, False),  # an ask of 0.7 s against a result every 0.5 s
        ([60.0] * 10, [], 8, True),
        ([60.0] * 10, [0.5] * 5 + [9.0] * 5, 8, False),  # grown too slow
    ],
)
def test_the_gaussian_process_is_for_expensive_trials(
    trials: list[float], asks: list[float], workers: int, wanted: bool
) -> None:
    assert affordable(trials, asks, workers) == wanted


def test_auto_turns_to_the_gaussian_process_and_back_for_good() -> None:
    def kind(current: Study) -> str:
        return type(current._study.sampler).__name__

    goals = Goals(("accuracy", "flops", "paper_flops"))
    current = Study(SearchSpace(LAYERS), BASELINES, IMAGE_TOKENS, "auto", 0, goals=goals)
    for _ in range(10):
        step(current, seconds=100.0)
    assert kind(current) == "TPESampler"
    step(current, seconds=100.0)
    assert kind(current) == "GPSampler"
    current._ask_seconds[:] = [50.0] * 5
    step(current)
    assert kind(current) == "TPESampler"
    current._ask_seconds.clear()
    step(current)
    assert kind(current) == "TPESampler"


def test_auto_asks_where_two_objectives_gain_most_whatever_a_trial_costs() -> None:
    current = study("auto")
    for _ in range(12):
        step(current, seconds=100.0)
    assert type(current._study.sampler).__name__ == "EHVISampler"


def test_samplers_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown sampler 'grid'; expected one of auto, ehvi, gp, tpe"):
        check_sampler("grid", Goals())
    with pytest.raises(UsageError, match="ehvi with the objectives accuracy flops latency; it takes two"):
        check_sampler("ehvi", Goals(("accuracy", "flops", "latency")))
