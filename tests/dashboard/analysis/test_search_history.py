"""How a search went: hypervolume, running trials, reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dashboard.analysis import search_history
from storage.pareto import hypervolume
from storage.records import Trial
from tests.dashboard.generated_store import START, failed, measured, pruned, searched


def at(number: int, flops_ratio: float, accuracy: float, at_second: float, took: float = 1.0) -> Trial:
    base = measured(number, "sampler", 2, 50.0, 8, 75.0, "instruction", "intra_column")
    return replace(
        base,
        flops_ratio=flops_ratio,
        flops=flops_ratio,
        accuracy=accuracy,
        seconds=took,
        created_at=START + timedelta(seconds=at_second),
    )


def test_the_hypervolume_is_the_area_below_the_staircase() -> None:
    trials = [at(0, 0.5, 0.8, 1), at(1, 0.2, 0.5, 2), at(2, 0.6, 0.7, 3), at(3, 1.2, 0.99, 4)]
    assert hypervolume(trials) == pytest.approx(0.3 * 0.5 + 0.5 * 0.8)
    assert hypervolume([]) == 0


def test_growth_ends_at_the_hypervolume_and_never_falls() -> None:
    trials = searched(60)
    grown = search_history.growth(trials)
    assert grown.volumes[-1] == pytest.approx(hypervolume(trials))
    assert list(grown.volumes) == sorted(grown.volumes)
    assert len(grown.volumes) == len(grown.seconds) == 59
    assert grown.seconds[0] == pytest.approx(4.2)
    assert search_history.growth([]) == search_history.Growth((), ())


def test_growth_follows_the_order_in_which_trials_finished() -> None:
    late, early = at(0, 0.5, 0.8, 9), at(1, 0.6, 0.7, 2)
    assert search_history.growth([late, early]).volumes == pytest.approx((0.4 * 0.7, 0.5 * 0.8))


def test_the_controls_alone_reach_less_than_the_search() -> None:
    trials = searched(60)
    level = search_history.control_volume(trials)
    assert level is not None
    assert 0 <= level < hypervolume(trials)
    assert search_history.control_volume(trials[:3]) is None


def test_workers_are_busy_while_trials_run() -> None:
    running = search_history.running_trials([at(0, 0.5, 0.8, 10, 10), at(1, 0.5, 0.8, 10, 5), at(2, 0.5, 0.8, 20, 5)])
    assert running.counts == (1, 2, 0, 1, 0)
    assert running.mean == pytest.approx((5 + 10 + 5) / 15)
    _, means = running.windows(4)
    assert means == pytest.approx([1, 2, 0, 1])
    assert search_history.running_trials([failed(0)]).times == ()
    assert search_history.running_trials([replace(at(0, 0.5, 0.8, 1), reused=True)]).times == ()
    assert search_history.running_trials([]).windows(4) == ([], [])


def test_the_rate_is_that_of_the_last_minutes() -> None:
    old = [at(i, 0.5, 0.8, i, 1) for i in range(50)]
    new = [at(100 + i, 0.5, 0.8, 10_000 + 30 * i, 30) for i in range(4)]
    assert search_history.trials_per_minute([*old, *new]) == pytest.approx(2.0)
    assert search_history.trials_per_minute([]) == 0


def test_reasons_that_differ_only_in_numbers_are_one() -> None:
    trials = [failed(0, "hung for 60 s"), failed(1, "hung for 61.5 s"), failed(2, "out of memory")]
    assert search_history.reason_counts(trials) == [("hung for … s", 2), ("out of memory", 1)]
    assert search_history.saved_share([pruned(0, n=100), pruned(1, n=150)], 500) == pytest.approx(0.75)
    assert search_history.saved_share([], 500) == 0
