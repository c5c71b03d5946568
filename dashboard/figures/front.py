"""The front as a plotly figure. Pure: a view in, a figure out; stored text is made inert on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from dashboard.analysis.study_view import CONTROLS, LANDMARKS, Cost, View
from dashboard.figures.palette import Palette, lay_out, palette
from dashboard.wording import text, words
from storage.records import Trial

HEIGHT = 520
FULL_HOVER = 400  # points that are told in full; the rest of a larger study in two lines
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


def front_figure(
    view: View,
    selected: Trial | None = None,
    *,
    dark: bool = False,
    coloring: Coloring = "role",
    zoom: Ranges | None = None,
) -> go.Figure:
    """Cost against accuracy: all trials, the front as a step line, the landmarks labelled, one ring.

    Every point that can be clicked carries its trial's number as `customdata`. `zoom` fixes the ranges of
    "xaxis" and "yaxis".
    """
    colors = palette(dark)
    shown = [trial for trial in view.complete if math.isfinite(getattr(trial, view.cost.field))]
    factor, axis = axis_scale(view.cost, shown)

    def x(trial: Trial) -> float:
        return getattr(trial, view.cost.field) / factor

    figure = go.Figure()
    for trace in study_traces(view, shown, x, colors, coloring):
        figure.add_trace(trace)
    labelled = [t for t in shown if t.origin in LANDMARKS and t.origin not in CONTROLS]
    for label in landmark_labels(labelled, view.front, x, colors):
        figure.add_annotation(label)
    if selected is not None and math.isfinite(getattr(selected, view.cost.field)):
        figure.add_trace(_ring(selected, x, colors))
    lay_out(figure, colors, HEIGHT, axis, "Accuracy (%)")
    figure.update_yaxes(autorangeoptions={"maxallowed": 103})
    if view.cost.unit == "%":
        figure.update_xaxes(ticksuffix=" %")
    for name, limits in (zoom or {}).items():
        figure.layout[name].update(range=list(limits), autorange=False)
    return figure


def study_traces(
    view: View, shown: Sequence[Trial], x: Position, colors: Palette, coloring: Coloring = "role"
) -> list[go.Scatter]:
    """The traces of one study, from the back to the front."""
    members = {trial.number for trial in view.front}
    searched = [trial for trial in shown if trial.origin not in LANDMARKS]
    rest = [trial for trial in searched if trial.number not in members]
    stopped = [trial for trial in view.stopped if math.isfinite(getattr(trial, view.cost.field))]
    on_front = [trial for trial in searched if trial.number in members]
    traces = [
        _points(stopped, x, "Stopped early, estimate", colors.trial, "circle-open", 6, opacity=0.55),
        *_colored(rest, x, colors, coloring),
        _step(view.front, shown, x, colors),
        _on_front(on_front, x, colors, coloring),
    ]
    for origin, name in LANDMARKS.items():
        some = [trial for trial in shown if trial.origin == origin]
        color = colors.landmarks[origin]
        trace = _points(some, x, name, color, SYMBOLS[origin], 13, bars=len(some) == 1)
        traces.append(trace.update(showlegend=origin in CONTROLS))
    confirmed = [trial for trial in shown if trial.number in view.confirmed]
    traces.append(_confirmed(confirmed, view, x, colors))
    return [trace for trace in traces if len(trace.x)]


def axis_scale(cost: Cost, trials: Sequence[Trial]) -> tuple[float, str]:
    """What to divide the cost by, and the title of its axis with the unit."""
    if cost.unit == "%":
        return 0.01, f"{cost.axis} (%)"
    if cost.unit == "ms":
        return 1.0, f"{cost.axis} (ms)"
    factor, prefix = text.scaled(max((getattr(trial, cost.field) for trial in trials), default=0.0))
    return factor, f"{cost.axis} ({prefix}{cost.unit})"


def hover_text(trial: Trial) -> str:
    """The whole configuration with its numbers; only the tags written here are tags."""
    lines = [f"<b>{text.inert(words.trial_title(trial))}</b>"]
    lines += [f"{name}: {text.inert(value)}" for name, value in words.details(trial)]
    return "<br>".join(lines)


def _short_hover(trial: Trial) -> str:
    configuration = text.inert(words.configuration_text(trial))
    return f"<b>Trial {trial.number}</b><br>{configuration}<br>n = {trial.n}"


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
    told = hover_text if len(trials) <= FULL_HOVER else _short_hover
    trace = go.Scatter(
        x=np.array([x(trial) for trial in trials]),
        y=np.array([100 * trial.accuracy for trial in trials]),
        customdata=[trial.number for trial in trials],
        hovertext=[told(trial) for trial in trials],
        hovertemplate="%{hovertext}<extra></extra>",
        mode="markers",
        name=text.inert(name),
        marker={"color": color, "symbol": symbol, "size": size, "opacity": opacity},
        selected={"marker": {"opacity": opacity}},
        unselected={"marker": {"opacity": opacity}},
    )
    if bars:
        trace.error_y = {
            "type": "data",
            "symmetric": False,
            "thickness": 1.2,
            "width": 3,
            "array": [100 * (trial.accuracy_high - trial.accuracy) for trial in trials],
            "arrayminus": [100 * (trial.accuracy - trial.accuracy_low) for trial in trials],
        }
        if isinstance(color, str):
            trace.error_y.color = color
    return trace


def _colored(trials: Sequence[Trial], x: Position, colors: Palette, coloring: Coloring) -> list[go.Scatter]:
    """The trials off the front: in one color, in one for each shallow criterion, or by depth of the cut."""
    if coloring == "criterion":
        names = sorted({trial.config.phi_shallow for trial in trials})
        return [
            _points(
                [t for t in trials if t.config.phi_shallow == name],
                x,
                f"φ {name}",
                colors.series[i % len(colors.series)],
                "circle",
                7,
                opacity=0.75,
            )
            for i, name in enumerate(names)
        ]
    trace = _points(trials, x, "Trial", colors.trial, "circle", 7, opacity=0.6)
    if coloring == "depth" and trials:
        trace.marker.update(_by_depth(trials, colors), opacity=0.85)
        trace.marker.colorbar = {"title": {"text": "K1"}, "thickness": 10, "len": 0.6, "outlinewidth": 0}
    return [trace]


def _on_front(trials: Sequence[Trial], x: Position, colors: Palette, coloring: Coloring) -> go.Scatter:
    trace = _points(trials, x, "On the front, 95 % interval", colors.front, "circle", 10, bars=True)
    if coloring == "depth" and trials:
        trace.marker.update(_by_depth(trials, colors))
        trace.marker.line = {"width": 2, "color": colors.front}
    return trace


def _by_depth(trials: Sequence[Trial], colors: Palette) -> dict[str, Any]:
    return {"color": [trial.config.k1 for trial in trials], "colorscale": colors.depth, "cmin": 1, "coloraxis": None}


def _confirmed(trials: Sequence[Trial], view: View, x: Position, colors: Palette) -> go.Scatter:
    """The held-out accuracy beside the validation estimate, at the same cost."""
    found = [view.confirmed[trial.number] for trial in trials]
    hover = [
        f"<b>Trial {trial.number}, confirmed</b><br>{text.inert(words.confirmation_text(one))}"
        for trial, one in zip(trials, found, strict=True)
    ]
    return go.Scatter(
        x=[x(trial) for trial in trials],
        y=[100 * one.accuracy for one in found],
        mode="markers",
        name="Confirmed, held-out accuracy",
        customdata=[trial.number for trial in trials],
        hovertext=hover,
        hovertemplate="%{hovertext}<extra></extra>",
        marker={"symbol": "star", "size": 13, "color": colors.good, "line": {"width": 1, "color": colors.background}},
        error_y={
            "type": "data",
            "symmetric": False,
            "thickness": 1.6,
            "width": 4,
            "color": colors.good,
            "array": [100 * (one.accuracy_high - one.accuracy) for one in found],
            "arrayminus": [100 * (one.accuracy - one.accuracy_low) for one in found],
        },
    )


def _step(front: Sequence[Trial], shown: Sequence[Trial], x: Position, colors: Palette) -> go.Scatter:
    """What accuracy each cost buys: flat from a member to the next, and on to the dearest trial."""
    xs, ys = [x(trial) for trial in front], [100 * trial.accuracy for trial in front]
    if front:
        xs, ys = [*xs, max(x(trial) for trial in shown)], [*ys, ys[-1]]
    return go.Scatter(
        x=xs,
        y=ys,
        mode="lines",
        name="Pareto front",
        hoverinfo="skip",
        line={"shape": "hv", "color": colors.front, "width": 2},
    )


def _ring(trial: Trial, x: Position, colors: Palette) -> go.Scatter:
    marker = {"symbol": "circle-open", "size": 22, "color": colors.text, "line": {"width": 2.5}}
    return go.Scatter(
        x=[x(trial)],
        y=[100 * trial.accuracy],
        mode="markers",
        hoverinfo="skip",
        showlegend=False,
        name="Selected",
        marker=marker,
    )


LIFT, LINE = 46, 20  # pixels from a landmark to its label, and from one label to the next
HIGHEST = 0.95  # above it there is no room for a label below 100 %


def landmark_labels(
    trials: Sequence[Trial], front: Sequence[Trial], x: Callable[[Trial], float], colors: Palette
) -> list[dict[str, Any]]:
    """An annotation for each landmark."""
    lifts = label_lifts(*([(x(trial), trial.accuracy) for trial in some] for some in (trials, front)))
    return [_label(trial, x, lift, colors) for trial, lift in zip(trials, lifts, strict=True)]


def label_lifts(points: Sequence[tuple[float, float]], front: Sequence[tuple[float, float]]) -> list[int]:
    """How many pixels above its point (below, if negative) each label stands. Points are (cost, value).

    Above where the front is near, since nothing is measured above it; below for points far under the
    front, so that no label covers it, and near 100 %, where there is no room above. A label whose
    neighbor already stands there goes one line further.
    """
    if not points:
        return []
    everything = [*points, *front]
    xs, ys = [x for x, _ in everything], [y for _, y in everything]
    width, height = max(xs) - min(xs) or 1.0, max(ys) - min(ys) or 1.0
    lifts: list[int] = []
    for index, (x, y) in enumerate(points):
        best = max((value for cost, value in front if cost <= x), default=y)
        sign = -1 if best - y > 0.2 * height or y > HIGHEST else 1
        near = [
            abs(lift)
            for (other_x, other_y), lift in zip(points[:index], lifts, strict=True)
            if lift * sign > 0 and abs(other_x - x) < 0.15 * width and abs(other_y - y) < 0.15 * height
        ]
        lifts.append(sign * (max(near) + LINE if near else LIFT))
    return lifts


def _label(trial: Trial, x: Callable[[Trial], float], lift: int, colors: Palette) -> dict[str, Any]:
    """The landmark's name beside it, with a thin line to its symbol."""
    color = colors.landmarks[trial.origin]
    return {
        "x": x(trial),
        "y": 100 * trial.accuracy,
        "text": LANDMARKS[trial.origin],
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
