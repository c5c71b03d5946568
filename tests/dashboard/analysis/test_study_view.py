"""What the pages show, computed from trials."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from dashboard.analysis import study_view
from dashboard.analysis.study_view import COSTS, build_view
from dashboard.wording import descriptions, trial_tables
from himap import PruningConfig
from storage.pareto import cheapest_within
from storage.records import StudySummary, Trial, utc_now
from tests.dashboard.generated_store import confirmation, failed, measured, pruned, searched, study_key


def trial(number: int, flops_ratio: float, accuracy: float, origin: str = "sampler") -> Trial:
    base = measured(number, origin, 2, 50.0, 8, 75.0, "instruction", "intra_column")
    return replace(base, flops_ratio=flops_ratio, flops=flops_ratio * 1e9, accuracy=accuracy)


def test_a_view_sorts_trials_into_their_roles() -> None:
    view = build_view(study_key(), searched(60))
    assert (len(view.complete), len(view.failed)) == (59, 1)
    assert [one.origin for one in view.baselines] == ["dense", "fastv", "paper", "random", "uniform", "downsample"]
    assert view.dense is not None
    assert view.dense.number == 0
    costs = [one.flops for one in view.front]
    assert costs == sorted(costs)
    assert len(costs) > 3
    assert view.trial(5) == view.complete[5]
    assert view.trial(39) is None  # it failed
    assert view.trial(None) is None


@pytest.mark.parametrize("cost", list(COSTS))
def test_each_cost_has_its_own_front(cost: str) -> None:
    view = build_view(study_key(), searched(60), cost)
    assert view.cost.field == cost
    costs = [getattr(one, cost) for one in view.front]
    assert costs == sorted(costs)


def test_a_certified_trial_is_suggested_before_a_cheaper_estimate() -> None:
    figures = ((1.0, 0.90), (0.3, 0.90), (0.6, 0.895), (0.5, 0.895))
    trials = [
        replace(trial(i, *figure, "sampler" if i else "dense"), config=PruningConfig(2, 50 + i, 8, 75))
        for i, figure in enumerate(figures)
    ]
    assert study_view.suggested(build_view(study_key(), trials)) == trials[1]
    bounds = (0, 0.02, 0.01, 0.01)
    tested = [replace(confirmation(one, trials[0]), bound=bounds[one.number]) for one in trials]
    view = build_view(study_key(), trials, confirmations=tested)
    assert study_view.within_one_point(view) == study_view.suggested(view) == trials[3]


def test_the_numbers_people_look_for_first() -> None:
    trials = [
        trial(0, 1.0, 0.90, "dense"),
        trial(1, 0.6, 0.91),
        trial(2, 0.5, 0.80),
        trial(3, 0.4, 0.80),
        trial(4, 0.3, 0.89),
        trial(5, 0.2, 0.889),
        failed(6),
    ]
    view = build_view(study_key(), trials)
    half, near = study_view.best_within_flops(trials), cheapest_within(view.front, view.dense)
    assert half is not None
    assert half.number == 4
    assert near is not None
    assert near.number == 4  # exactly one point below dense counts as within it
    assert study_view.suggested(view) == near
    half = study_view.best_within_flops(trials[:4])
    assert half is not None
    assert half.number == 3  # of equals the cheapest
    assert study_view.best_within_flops(trials[:2]) is None
    assert study_view.best_within_flops([trial(0, math.nan, 0.9)]) is None


def test_exactly_one_point_is_within_one_point_in_binary_too() -> None:
    dense, other = trial(0, 1.0, 152 / 300, "dense"), trial(1, 0.5, 149 / 300)
    assert other.accuracy < dense.accuracy - 0.01  # by rounding alone
    assert cheapest_within(build_view(study_key(), [dense, other]).front, dense) == other


def test_without_dense_the_most_accurate_is_suggested_and_without_trials_nothing() -> None:
    view = build_view(study_key(), [trial(1, 0.6, 0.91), trial(2, 0.5, 0.80)])
    assert cheapest_within(view.front, view.dense) is None
    chosen = study_view.suggested(view)
    assert chosen is not None
    assert chosen.number == 1
    assert study_view.suggested(build_view(study_key(), [failed(0)])) is None


def test_details_hold_configuration_n_interval_latency_and_device() -> None:
    details = dict(descriptions.details(searched(4)[2]))
    assert details["K1"] == "layer 2, drop 50 % by instruction"
    assert details["K2"] == "layer 8, drop 75 % by intra_column"
    assert details["Image tokens"] == "144 → 72 → 18"
    assert details["Accuracy"].startswith("88.6 % (85.8–91.4), n = 500")
    assert details["True FLOPs"].endswith("% of dense")
    assert details["Latency"].endswith("on cpu: 2 threads of Xeon")
    assert "Seed" not in details
    assert dict(descriptions.details(searched(4)[3]))["Seed"] == "0"


def test_details_of_what_was_not_measured() -> None:
    bare = Trial(number=0, state="complete", origin="sampler", config=PruningConfig.dense(), accuracy=0.5)
    details = dict(descriptions.details(bare))
    assert details["Accuracy"] == "50.0 %, n = 0"
    assert details["Latency"] == "not measured: the search times its front"
    assert details["Image tokens"] == "– → – → –"


def test_pairs_are_sorted_and_in_each_the_last_written_comes_first() -> None:
    now = utc_now()
    studies = [
        StudySummary(1, study_key("pope"), 3, 0, now, now),
        StudySummary(2, study_key("pope", seed=1), 3, 0, now, now + timedelta(seconds=1)),
        StudySummary(3, study_key("aokvqa"), 0, 0, now, now),
    ]
    groups = study_view.by_pair(studies)
    assert list(groups) == [("qwenvl-mini", "aokvqa"), ("qwenvl-mini", "pope")]
    assert [one.id for one in groups["qwenvl-mini", "pope"]] == [2, 1]
    labels = {descriptions.study_label(one) for one in studies}
    assert len(labels) == 3


def test_the_caption_names_device_n_interval_commit_weights_and_that_it_is_an_estimate() -> None:
    caption = descriptions.provenance(build_view(study_key(), searched(10)))
    for part in (
        "cpu: 2 threads of Xeon",
        "n = 500 questions of pope, validation split",
        "95 % confidence interval",
        "Commit 3ee45d2",
        "weights 9f2c41d07be855aa",
        "estimate on validation questions, not certified",
    ):
        assert part in caption
    mixed = [replace(searched(3)[1], device="cuda: H100", n=100), *searched(1)]
    caption = descriptions.provenance(build_view(study_key(), mixed))
    assert "cpu: 2 threads of Xeon, cuda: H100" in caption
    assert "n = 100 to 500" in caption


def test_tables() -> None:
    view = build_view(study_key(), searched(60))
    front = trial_tables.front_table(view)
    assert list(front["number"]) == [one.number for one in view.front]
    assert front["accuracy_percent"].iloc[0] == pytest.approx(100 * view.front[0].accuracy)
    dense = view.dense
    assert dense is not None
    assert front["to_dense_points"].iloc[-1] == pytest.approx(100 * (view.front[-1].accuracy - dense.accuracy))
    every = trial_tables.all_table(view)
    assert len(every) == 59
    assert list(every["origin"][3:7]) == ["random", "uniform", "downsample", "search"]
    assert every["front"].sum() == len(front)
    assert list(trial_tables.failure_table(view)["reason"]) == ["out of memory at layer 3"]


def test_tables_of_nothing_have_their_columns() -> None:
    view = build_view(study_key(), [])
    assert trial_tables.front_table(view).empty
    assert trial_tables.all_table(view).empty
    assert "reason" in trial_tables.failure_table(view)


def test_a_pruned_trial_is_an_estimate_and_never_on_the_front() -> None:
    better = replace(pruned(50), accuracy=1.0)
    view = build_view(study_key(), [*searched(20), better], confirmations=[])
    assert view.pruned == (better,)
    assert better not in view.front
    assert view.trial(50) == better


def test_confirmations_belong_to_equal_configurations() -> None:
    trials = searched(20)
    result = replace(confirmation(trials[2], trials[0]), trial=None)
    view = build_view(study_key(), trials, confirmations=[result])
    assert view.confirmations == {2: result}
    elsewhere = replace(result, config=replace(result.config, r1=51.0))
    assert build_view(study_key(), trials, confirmations=[elsewhere]).confirmations == {}
