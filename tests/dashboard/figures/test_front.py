"""The front as a figure."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from dashboard.analysis.study_view import BASELINE_NAMES, View, build_view
from dashboard.figures.front import FULL_HOVER, NEAR, Frame, cost_axis, facets_figure, front_figure, label_lifts
from dashboard.figures.palette import DARK, LIGHT
from storage.pareto import front
from tests.dashboard.generated_store import confirmation, failed, searched, study_key, with_criterion


@pytest.fixture(scope="module")
def view() -> View:
    return build_view(study_key(), searched(60))


def test_every_complete_trial_is_one_point_with_its_number(view: View) -> None:
    figure = front_figure(view)
    numbers = [number for trace in figure.data if trace.customdata is not None for number in trace.customdata]
    assert sorted(numbers) == [trial.number for trial in view.complete]


def test_the_step_line_is_the_front_and_ends_at_the_most_expensive_trial(view: View) -> None:
    (line,) = [trace for trace in front_figure(view).data if trace.mode == "lines"]
    members = front(view.complete)
    assert line.line.shape == "hv"
    assert list(line.y) == [*(100 * t.accuracy for t in members), 100 * members[-1].accuracy]
    assert line.x[-1] == max(trial.flops for trial in view.complete) / 1e9


def test_bars_are_the_intervals(view: View) -> None:
    trace = next(t for t in front_figure(view).data if t.name.startswith("On the front"))
    trials = [view.trial(number) for number in trace.customdata]
    assert len(trials) > 3
    for trial, y, up, down in zip(trials, trace.y, trace.error_y.array, trace.error_y.arrayminus, strict=True):
        assert trial is not None
        assert y + up == pytest.approx(100 * trial.accuracy_high)
        assert y - down == pytest.approx(100 * trial.accuracy_low)


def test_bars_reach_up_to_the_upper_end(view: View) -> None:
    """Intervals near 100 % are not symmetric."""
    trials = [replace(t, accuracy_low=t.accuracy - 0.2, accuracy_high=t.accuracy + 0.01) for t in view.complete]
    skewed = build_view(view.key, trials)
    result = replace(confirmation(trials[0], trials[0]), accuracy_low=0.1, accuracy_high=1.0)
    figure = front_figure(replace(skewed, confirmations={0: replace(result, accuracy=0.95)}))
    ends = {t.name: (t.error_y.array[0], t.error_y.arrayminus[0]) for t in figure.data if t.error_y.array is not None}
    assert ends.pop("Accuracy on held-out questions") == pytest.approx((5, 85))
    assert len(ends) > 3
    assert all(pair == pytest.approx((1, 20)) for pair in ends.values())


@pytest.mark.parametrize("dark", [False, True])
def test_baselines_have_symbols_of_their_own_and_a_name(view: View, dark: bool) -> None:
    figure = front_figure(view, dark=dark)
    labels = {annotation.text: annotation.font.color for annotation in figure.layout.annotations}
    assert set(labels) == {"dense", "FastV", "HiMAP paper"}  # the controls are named in the legend
    named = {trace.name for trace in figure.data if trace.showlegend is not False}
    assert {"random", "uniform", "downsample"} <= named
    palette = DARK if dark else LIGHT
    assert labels["FastV"] == palette.baselines["fastv"]
    symbols = [trace.marker.symbol for trace in figure.data if trace.name in BASELINE_NAMES.values()]
    assert len(symbols) == len(set(symbols)) == 6
    assert "circle" not in symbols


def test_the_hover_text_holds_the_whole_configuration(view: View) -> None:
    trace = next(t for t in front_figure(view).data if t.name == "HiMAP paper")
    (hover,) = trace.hovertext
    for part in (
        "Trial 2, HiMAP paper",
        "layer 2, drop 50 %",
        "layer 8, drop 75 %",
        "144 → 72 → 18",
        "n = 500",
        "of dense",
        " ms (",
        "speed-up ×",
        "cpu: 2 threads of Xeon",
    ):
        assert part in hover


@pytest.mark.parametrize(
    ("cost", "title"),
    [
        ("flops", "(GFLOPs)"),
        ("flops_ratio", "share of dense (%)"),
        ("paper_flops", "(MMACs)"),
        ("latency_ms", "first token of a prompt (ms)"),
    ],
)
def test_axes_name_their_unit(cost: str, title: str) -> None:
    view = build_view(study_key(), searched(20), cost)
    figure = front_figure(view)
    assert title in figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text == "Accuracy (%)"
    dense = next(trace for trace in figure.data if trace.name == "dense")
    assert dense.x[0] == getattr(view.complete[0], cost) / cost_axis([view]).factor


def test_the_front_fills_the_chart_and_a_zoom_replaces_that(view: View) -> None:
    axis, near = cost_axis([view]), Frame(near=True)
    members = [trial for trial in view.front if trial.accuracy >= view.front[-1].accuracy - NEAR]
    assert 1 < len(members) < len(view.front)
    low, high = front_figure(view, frame=near).layout.xaxis.range
    assert low < axis.x(members[0]) < axis.x(members[-1]) < high
    assert axis.x(members[-1]) - axis.x(members[0]) > 0.85 * (high - low)
    assert low > axis.x(view.front[0])
    bottom, top = facets_figure([view, view], frame=near).layout.yaxis.range
    assert bottom < 100 * members[0].accuracy_low < 100 * members[-1].accuracy_high < top
    assert front_figure(view).layout.xaxis.range is None
    assert front_figure(view, frame=near, zoom={}).layout.xaxis.range is None  # a double-click shows all
    assert front_figure(view, frame=near, zoom={"xaxis": [1.0, 2.0]}).layout.xaxis.range == (1.0, 2.0)
    assert front_figure(build_view(study_key(), []), frame=near).layout.xaxis.range is None


def test_a_log_axis_places_points_by_value_and_labels_and_ranges_by_logarithm(view: View) -> None:
    plain, log = front_figure(view, frame=Frame(near=True)), front_figure(view, frame=Frame(near=True, log=True))
    assert (plain.layout.xaxis.type, log.layout.xaxis.type) == ("linear", "log")
    dense = next(trace for trace in log.data if trace.name == "dense")
    (label,) = [note for note in log.layout.annotations if note.text == "dense"]
    assert label.x == pytest.approx(math.log10(dense.x[0]))
    first, last = (math.log10(limit) for limit in plain.layout.xaxis.range)
    assert log.layout.xaxis.range == pytest.approx((first, last), abs=0.1)


def test_a_ring_marks_the_selected_trial_and_cannot_be_clicked(view: View) -> None:
    chosen = view.complete[7]
    ring = front_figure(view, chosen).data[-1]
    assert ring.name == "Selected"
    assert ring.y[0] == 100 * chosen.accuracy
    assert ring.hoverinfo == "skip"
    assert front_figure(view).data[-1].name != "Selected"


def test_stored_text_is_never_a_tag(view: View) -> None:
    text = '<img src=x onerror="alert(1)"> <a href="javascript:x">y</a>'
    bad = replace(view.complete[2], config=with_criterion(view.complete[2].config, text), device=text)
    written = front_figure(build_view(study_key(), [bad])).to_json()
    assert "<img" not in json.dumps(json.loads(written))
    assert "<a" not in json.dumps(json.loads(written))
    assert "&lt;img" in json.dumps(json.loads(written))


def test_stored_text_is_never_a_tag_in_large_studies_and_titles(view: View) -> None:
    text = "<img src=x>"
    some = next(trial for trial in view.complete if trial.origin == "sampler")
    bad = replace(some, config=with_criterion(some.config, text))
    key = replace(study_key(), model=text, benchmark=text)
    large = build_view(key, [replace(bad, number=n) for n in range(FULL_HOVER + 5)])
    for figure in (front_figure(large), facets_figure([large, large])):
        hovers = [hover for trace in figure.data if trace.hovertext is not None for hover in trace.hovertext]
        assert any("&lt;img" in hover and "layer" not in hover for hover in hovers)
        assert not any("<img" in hover for hover in hovers)
    titles = [annotation.text for annotation in facets_figure([large, large]).layout.annotations]
    assert titles == ["&lt;img src=x&gt; · &lt;img src=x&gt;"] * 2


def test_few_or_no_trials_are_no_problem() -> None:
    for trials in ([], [failed(0)], searched(1), searched(2)):
        assert front_figure(build_view(study_key(), trials)).layout.height


def test_labels_stand_apart_above_the_front_and_below_far_under_it() -> None:
    front_points = [(0.0, 0.9), (10.0, 1.0)]
    close = label_lifts([(5.0, 0.9), (5.1, 0.91), (5.2, 0.9)], front_points)
    assert len(set(close)) == 3
    assert min(close) > 0
    assert label_lifts([(5.0, 0.2)], front_points)[0] < 0
    assert label_lifts([(9.0, 0.99)], front_points)[0] < 0  # no room above 100 %
    assert label_lifts([], []) == []
