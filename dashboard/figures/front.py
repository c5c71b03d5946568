"""Fronts as figures: cost against accuracy, of one study or of several on the same axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.analysis.study_view import BASELINE_NAMES, CONTROLS, Cost, View
from dashboard.figures.palette import Palette, error_bars, lay_out, palette
from dashboard.wording.descriptions import configuration_text, details, held_out_text, short_verdict, trial_title
from dashboard.wording.formatting import inert, scaled
from storage.records import Trial

HEIGHT, FACET_HEIGHT, FACET_COLUMNS = 520, 330, 3
FULL_HOVER = 400  # traces of more points show two lines a point, which keeps a large page fast
LIFT, LINE = 46, 20  # pixels from a baseline's point to its label, and from one label to the next
NO_ROOM_ABOVE = 0.95  # accuracy from which on a label above its point would cross 100 %
NEAR = 0.05  # accuracy below the best that still fills the chart: what a search looks for, too
Coloring = Literal["role", "criterion", "depth"]
Position = Callable[[Trial], float]
Ranges = Mapping[str, Sequence[float]]
SYMBOLS: dict[str, str] = {
    "dense": "diamond",
    "fastv": "triangle-up",
    "paper": "square",
    "paper_long": "pentagon",
    "random": "x",
    "uniform": "cross",
    "downsample": "hourglass",
}


@dataclass(frozen=True)
class Frame:
    """How the axes are drawn: whether the cost is logarithmic, and whether the front or every trial fills the chart."""

    log: bool = False
    near: bool = False


@dataclass(frozen=True)
class CostAxis:
    """The axis of a cost: its title with the unit, and the factor by which values are divided."""

    cost: Cost
    factor: float
    title: str
    log: bool = False

    def x(self, trial: Trial) -> float:
        """Return where a trial stands."""
        return getattr(trial, self.cost.field) / self.factor

    def place(self, trial: Trial) -> float:
        """Return where a trial stands as ranges and notes of a figure count: by the logarithm on such an axis."""
        return math.log10(self.x(trial)) if self.log else self.x(trial)

    def has(self, trial: Trial) -> bool:
        """Return whether this cost of a trial is measured."""
        return math.isfinite(getattr(trial, self.cost.field))


def cost_axis(views: Sequence[View], *, log: bool = False) -> CostAxis:
    """Return the axis of some views of the same cost."""
    cost = views[0].cost
    if cost.unit == "%":
        return CostAxis(cost, 0.01, f"{cost.axis} (%)", log)
    if cost.unit == "ms":
        return CostAxis(cost, 1.0, f"{cost.axis} (ms)", log)
    values = [getattr(trial, cost.field) for view in views for trial in view.complete]
    factor, prefix = scaled(max(filter(math.isfinite, values), default=0.0))
    return CostAxis(cost, factor, f"{cost.axis} ({prefix}{cost.unit})", log)


def near_ranges(views: Sequence[View], axis: CostAxis) -> dict[str, list[float]]:
    """Return the ranges that the interesting part of the fronts fills; empty without a front.

    That part is the members within 5 points of the best of their front. The rest of a front is a flat line to the most
    expensive trial, or a steep one down to what nobody deploys.
    """
    members = [t for view in views for t in view.front if t.accuracy >= view.front[-1].accuracy - NEAR]
    if not members:
        return {}
    heights = [100 * bound for t in members for bound in (t.accuracy_low, t.accuracy, t.accuracy_high)]
    spans = {"xaxis": [axis.place(t) for t in members], "yaxis": [value for value in heights if math.isfinite(value)]}
    return {name: _padded(min(values), max(values)) for name, values in spans.items()}


def _padded(low: float, high: float) -> list[float]:
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return [low - margin, high + margin]


def front_figure(
    view: View,
    selected: Trial | None = None,
    *,
    dark: bool = False,
    coloring: Coloring = "role",
    frame: Frame = Frame(),
    zoom: Ranges | None = None,
) -> go.Figure:
    """Return all trials, the front as a step line, baselines with their names, a ring around the selected trial.

    Every point that can be clicked carries its trial's number as `customdata`.

    Args:
        zoom: fixed ranges of "xaxis" and "yaxis" in place of the frame's; empty shows all, None is no zoom.
    """
    colors, axis, figure = palette(dark), cost_axis([view], log=frame.log), go.Figure()
    figure.add_traces(study_traces(view, axis, colors, coloring))
    labelled = [t for t in view.baselines if axis.has(t) and t.origin not in CONTROLS]
    lifts = label_lifts(*([(axis.place(t), t.accuracy) for t in trials] for trials in (labelled, view.front)))
    for trial, lift in zip(labelled, lifts, strict=True):
        figure.add_annotation(_label(trial, axis.place, lift, colors))
    if selected is not None and axis.has(selected):
        figure.add_trace(_ring(selected, axis.x, colors))
    lay_out(figure, colors, HEIGHT, axis.title, "Accuracy (%)")
    _limit(figure, axis)
    frame_ranges = near_ranges([view], axis) if frame.near else {}
    for name, limits in (frame_ranges if zoom is None else zoom).items():
        figure.layout[name].update(range=list(limits), autorange=False)
    return figure


def facets_figure(
    views: Sequence[View], *, dark: bool = False, coloring: Coloring = "role", frame: Frame = Frame()
) -> go.Figure:
    """Return one small front a view, all with the same axes. The views share their cost."""
    colors, axis = palette(dark), cost_axis(views, log=frame.log)
    columns = min(FACET_COLUMNS, len(views))
    rows = math.ceil(len(views) / columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[inert(f"{view.key.model} · {view.key.questions}") for view in views],
        shared_xaxes="all",
        shared_yaxes="all",
        horizontal_spacing=0.03,
        vertical_spacing=0.16 / rows,
    )
    named: set[str] = set()
    for index, view in enumerate(views):
        for trace in study_traces(view, axis, colors, coloring):
            trace.update(legendgroup=trace.name, showlegend=trace.name not in named)
            if trace.marker.colorbar.thickness and index:
                trace.marker.showscale = False
            named.add(trace.name)
            figure.add_trace(trace, row=index // columns + 1, col=index % columns + 1)
    lay_out(figure, colors, FACET_HEIGHT * rows + 90)
    figure.update_layout(legend={"y": -0.12 / rows, "yanchor": "top"}, margin={"t": 40, "b": 60})
    figure.update_xaxes(title={"text": axis.title}, row=rows)
    figure.update_yaxes(title={"text": "Accuracy (%)"}, col=1)
    _limit(figure, axis)
    if frame.near and (ranges := near_ranges(views, axis)):
        figure.update_xaxes(range=ranges["xaxis"]).update_yaxes(range=ranges["yaxis"])
    return figure


def _limit(figure: go.Figure, axis: CostAxis) -> go.Figure:
    """Set the scale of the cost, and keep room for points at 100 % accuracy and none far above."""
    figure.update_xaxes(ticksuffix=" %" if axis.cost.unit == "%" else None, type="log" if axis.log else "linear")
    return figure.update_yaxes(autorangeoptions={"maxallowed": 103})


def study_traces(view: View, axis: CostAxis, colors: Palette, coloring: Coloring = "role") -> list[go.Scatter]:
    """Return the traces of one study, from the back to the front."""
    x, members = axis.x, {trial.number for trial in view.front}
    shown = [trial for trial in view.complete if axis.has(trial)]
    searched = [trial for trial in shown if not trial.is_baseline]
    rest = [trial for trial in searched if trial.number not in members]
    on_front = [trial for trial in searched if trial.number in members]
    pruned = [trial for trial in view.pruned if axis.has(trial)]
    traces = [
        _raw(shown, view, x, colors),
        _points(pruned, x, "Pruned (stopped early), estimate", colors.trial, "circle-open", 6, opacity=0.55),
        *_colored(rest, x, colors, coloring),
        _step(view.front, shown, x, colors),
        _on_front(on_front, x, colors, coloring),
    ]
    for origin, name in BASELINE_NAMES.items():
        trials = [trial for trial in shown if trial.origin == origin]
        trace = _points(trials, x, name, colors.baselines[origin], SYMBOLS[origin], 13, bars=len(trials) == 1)
        traces.append(trace.update(showlegend=origin in CONTROLS))
    traces.append(_held_out([trial for trial in shown if trial.number in view.confirmations], view, x, colors))
    return [trace for trace in traces if len(trace.x)]


def label_lifts(points: Sequence[tuple[float, float]], front: Sequence[tuple[float, float]]) -> list[int]:
    """Return how many pixels above its point (below, if negative) each label stands. Points are (cost, accuracy).

    A label stands above its point where the front is near, since nothing is measured above the front. It stands below
    a point far under the front, which it would cover, and near 100 %, where there is no room above. A label whose
    neighbor already stands there goes one line further.
    """
    if not points:
        return []
    xs, ys = zip(*points, *front, strict=True)
    width, height = max(xs) - min(xs) or 1.0, max(ys) - min(ys) or 1.0
    lifts: list[int] = []
    for index, (x, y) in enumerate(points):
        best = max((value for cost, value in front if cost <= x), default=y)
        sign = -1 if best - y > 0.2 * height or y > NO_ROOM_ABOVE else 1
        near = [
            abs(lift)
            for (other_x, other_y), lift in zip(points[:index], lifts, strict=True)
            if lift * sign > 0 and abs(other_x - x) < 0.15 * width and abs(other_y - y) < 0.15 * height
        ]
        lifts.append(sign * (max(near) + LINE if near else LIFT))
    return lifts


def _hover(trial: Trial) -> str:
    """Return all details of a trial; only the tags written here are tags."""
    lines = [f"<b>{inert(trial_title(trial))}</b>"]
    return "<br>".join([*lines, *(f"{name}: {inert(value)}" for name, value in details(trial))])


def _short_hover(trial: Trial) -> str:
    return f"<b>Trial {trial.number}</b><br>{inert(configuration_text(trial))}<br>n = {trial.n}"


def _points(
    trials: Sequence[Trial],
    x: Position,
    name: str,
    color: Any,
    symbol: str,
    size: int,
    *,
    opacity: float = 1.0,
    bars: bool = False,
) -> go.Scatter:
    hover = _hover if len(trials) <= FULL_HOVER else _short_hover
    accuracies = [100 * trial.accuracy for trial in trials]
    trace = go.Scatter(
        x=np.array([x(trial) for trial in trials]),
        y=np.array(accuracies),
        customdata=[trial.number for trial in trials],
        hovertext=[hover(trial) for trial in trials],
        hovertemplate="%{hovertext}<extra></extra>",
        mode="markers",
        name=inert(name),
        marker={"color": color, "symbol": symbol, "size": size, "opacity": opacity},
        selected={"marker": {"opacity": opacity}},
        unselected={"marker": {"opacity": opacity}},
    )
    if bars:
        lows, highs = [100 * t.accuracy_low for t in trials], [100 * t.accuracy_high for t in trials]
        trace.error_y = error_bars(accuracies, lows, highs, thickness=1.2, width=3, color=color)
    return trace


def _raw(trials: Sequence[Trial], view: View, x: Position, colors: Palette) -> go.Scatter:
    """Return the accuracies on the search's own questions, faint, where the points are posterior means."""
    known = [trial for trial in trials if trial.number in view.raw]
    trace = _points(known, x, "On the search's questions alone", colors.trial, "x-thin-open", 5, opacity=0.35)
    return trace.update(
        y=np.array([100 * view.raw[trial.number] for trial in known]), hoverinfo="skip", customdata=None
    )


def _colored(trials: Sequence[Trial], x: Position, colors: Palette, coloring: Coloring) -> list[go.Scatter]:
    """Return the trials off the front: in one color, in one a shallow criterion, or by the depth of the first cut."""
    if coloring == "criterion":
        groups: dict[str, list[Trial]] = {}
        for trial in trials:
            groups.setdefault(trial.config.phi_shallow, []).append(trial)
        series = colors.series
        return [
            _points(groups[name], x, f"φ {name}", series[i % len(series)], "circle", 7, opacity=0.75)
            for i, name in enumerate(sorted(groups))
        ]
    trace = _points(trials, x, "Trial", colors.trial, "circle", 7, opacity=0.6)
    if coloring == "depth" and trials:
        bar = {"title": {"text": "K1"}, "thickness": 10, "len": 0.6, "outlinewidth": 0}
        trace.marker.update(_by_depth(trials, colors), opacity=0.85, colorbar=bar)
    return [trace]


def _on_front(trials: Sequence[Trial], x: Position, colors: Palette, coloring: Coloring) -> go.Scatter:
    trace = _points(trials, x, "On the front, 95 % interval", colors.front, "circle", 10, bars=True)
    if coloring == "depth" and trials:
        trace.marker.update(_by_depth(trials, colors), line={"width": 2, "color": colors.front})
    return trace


def _by_depth(trials: Sequence[Trial], colors: Palette) -> dict[str, Any]:
    return {"color": [trial.config.k1 for trial in trials], "colorscale": colors.depth, "cmin": 1, "coloraxis": None}


def _held_out(trials: Sequence[Trial], view: View, x: Position, colors: Palette) -> go.Scatter:
    """Return the accuracies on held-out questions, at the same costs as the estimates."""
    results = [view.confirmations[trial.number] for trial in trials]
    accuracies = [100 * result.accuracy for result in results]
    lows, highs = [100 * result.accuracy_low for result in results], [100 * result.accuracy_high for result in results]
    hover = [
        f"<b>Trial {trial.number}, {short_verdict(result)}</b><br>{inert(held_out_text(result))}"
        for trial, result in zip(trials, results, strict=True)
    ]
    return go.Scatter(
        x=[x(trial) for trial in trials],
        y=accuracies,
        mode="markers",
        name="Accuracy on held-out questions",
        customdata=[trial.number for trial in trials],
        hovertext=hover,
        hovertemplate="%{hovertext}<extra></extra>",
        marker={"symbol": "star", "size": 13, "color": colors.good, "line": {"width": 1, "color": colors.background}},
        error_y=error_bars(accuracies, lows, highs, thickness=1.6, width=4, color=colors.good),
    )


def _step(front: Sequence[Trial], shown: Sequence[Trial], x: Position, colors: Palette) -> go.Scatter:
    """Return the accuracy that each cost buys: flat from a member to the next, and on to the most expensive trial."""
    xs, ys = [x(trial) for trial in front], [100 * trial.accuracy for trial in front]
    if front:
        xs, ys = [*xs, max(x(trial) for trial in shown)], [*ys, ys[-1]]
    line = {"shape": "hv", "color": colors.front, "width": 2}
    return go.Scatter(x=xs, y=ys, mode="lines", name="Pareto front", hoverinfo="skip", line=line)


def _ring(trial: Trial, x: Position, colors: Palette) -> go.Scatter:
    return go.Scatter(
        x=[x(trial)],
        y=[100 * trial.accuracy],
        mode="markers",
        hoverinfo="skip",
        showlegend=False,
        name="Selected",
        marker={"symbol": "circle-open", "size": 22, "color": colors.text, "line": {"width": 2.5}},
    )


def _label(trial: Trial, x: Position, lift: int, colors: Palette) -> dict[str, Any]:
    """Return a baseline's name beside its point, with a thin line between them."""
    color = colors.baselines[trial.origin]
    return {
        "x": x(trial),
        "y": 100 * trial.accuracy,
        "text": BASELINE_NAMES[trial.origin],
        "ax": -26,
        "ay": -lift,
        "font": {"color": color, "size": 13},
        "arrowcolor": color,
        "arrowwidth": 1,
        "arrowhead": 0,
        "standoff": 6,
        "bgcolor": colors.background,
        "opacity": 0.92,
        "borderpad": 1,
    }
