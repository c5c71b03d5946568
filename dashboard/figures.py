"""The front as a plotly figure. Pure: a view in, a figure out; stored text is made inert on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from dashboard import text
from dashboard.queries import LANDMARKS, Cost, View, details, trial_title
from storage.records import Trial

HEIGHT = 520
LIFT, LINE = 46, 20  # pixels from a landmark to its label, and from one label to the next
Position = Callable[[Trial], float]
SYMBOLS: dict[str, str] = {"dense": "diamond", "fastv": "triangle-up", "paper": "square", "random": "x"}


@dataclass(frozen=True)
class Palette:
    """Colors that stay apart for people who see fewer of them, on one background."""

    trial: str
    front: str
    text: str
    muted: str
    grid: str
    background: str
    landmarks: dict[str, str]


LIGHT = Palette(
    trial="#8c98a8", front="#1f5fbf", text="#1b2230", muted="#5a6678", grid="#e8ecf2", background="#ffffff",
    landmarks={"dense": "#1b2230", "fastv": "#c2500a", "paper": "#00795a", "random": "#8a3fa8"},
)  # fmt: skip
DARK = Palette(
    trial="#7d8a9c", front="#6aa5ff", text="#e6eaf0", muted="#a3afbf", grid="#242d39", background="#10151c",
    landmarks={"dense": "#f4f6f9", "fastv": "#ff9a57", "paper": "#45cfa2", "random": "#d799f0"},
)  # fmt: skip


def front_figure(view: View, selected: Trial | None = None, *, dark: bool = False) -> go.Figure:
    """Cost against accuracy: all trials, the front as a step line, the landmarks labelled, one ring.

    Every point that can be clicked carries its trial's number as `customdata`.
    """
    palette = DARK if dark else LIGHT
    shown = [trial for trial in view.complete if math.isfinite(getattr(trial, view.cost.field))]
    factor, axis = axis_scale(view.cost, shown)

    def x(trial: Trial) -> float:
        return getattr(trial, view.cost.field) / factor

    members = {trial.number for trial in view.front}
    searched = [trial for trial in shown if trial.origin not in LANDMARKS]
    figure = go.Figure()
    rest = [trial for trial in searched if trial.number not in members]
    figure.add_trace(_points(rest, x, "Trial", palette.trial, "circle", 7, opacity=0.6))
    figure.add_trace(_step(view.front, shown, x, palette))
    on_front = [trial for trial in searched if trial.number in members]
    figure.add_trace(
        _points(on_front, x, "On the front, 95 % interval", palette.front, "circle", 10, bars=True)
    )
    landmarks = [trial for trial in shown if trial.origin in LANDMARKS]
    lifts = label_lifts(*([(x(trial), trial.accuracy) for trial in some] for some in (landmarks, view.front)))
    for trial, lift in zip(landmarks, lifts, strict=True):
        color = palette.landmarks[trial.origin]
        trace = _points([trial], x, LANDMARKS[trial.origin], color, SYMBOLS[trial.origin], 13, bars=True)
        figure.add_trace(trace.update(showlegend=False))
        figure.add_annotation(_label(trial, x, lift, palette))
    if selected is not None and any(trial.number == selected.number for trial in shown):
        figure.add_trace(_ring(selected, x, palette))
    _lay_out(figure, axis, view.cost, palette)
    return figure


def axis_scale(cost: Cost, trials: Sequence[Trial]) -> tuple[float, str]:
    """What to divide the cost by, and the title of its axis with the unit."""
    if cost.unit == "%":
        return 0.01, f"{cost.axis} (%)"
    factor, prefix = text.scaled(max((getattr(trial, cost.field) for trial in trials), default=0.0))
    return factor, f"{cost.axis} ({prefix}{cost.unit})"


def label_lifts(points: Sequence[tuple[float, float]], front: Sequence[tuple[float, float]]) -> list[int]:
    """How many pixels above its point (below, if negative) each label stands. Points are (cost, value).

    Above where the front is near, since nothing is measured above it; below for points far under the
    front, so that no label covers it. A label whose neighbor already stands there goes one line further.
    """
    if not points:
        return []
    everything = [*points, *front]
    xs, ys = [x for x, _ in everything], [y for _, y in everything]
    width, height = max(xs) - min(xs) or 1.0, max(ys) - min(ys) or 1.0
    lifts: list[int] = []
    for index, (x, y) in enumerate(points):
        best = max((value for cost, value in front if cost <= x), default=y)
        sign = -1 if best - y > 0.2 * height else 1
        near = [
            abs(lift)
            for (other_x, other_y), lift in zip(points[:index], lifts, strict=True)
            if lift * sign > 0 and abs(other_x - x) < 0.15 * width and abs(other_y - y) < 0.15 * height
        ]
        lifts.append(sign * (max(near) + LINE if near else LIFT))
    return lifts


def hover_text(trial: Trial) -> str:
    """The whole configuration with its numbers; only the tags written here are tags."""
    lines = [f"<b>{text.inert(trial_title(trial))}</b>"]
    lines += [f"{name}: {text.inert(value)}" for name, value in details(trial)]
    return "<br>".join(lines)


def _points(
    trials: Sequence[Trial], x: Position, name: str, color: str, symbol: str, size: int,
    *, opacity: float = 1.0, bars: bool = False,
) -> go.Scatter:  # fmt: skip
    trace = go.Scatter(
        x=[x(trial) for trial in trials], y=[100 * trial.accuracy for trial in trials],
        customdata=[trial.number for trial in trials], hovertext=[hover_text(trial) for trial in trials],
        hovertemplate="%{hovertext}<extra></extra>", mode="markers", name=name,
        marker={"color": color, "symbol": symbol, "size": size, "opacity": opacity},
        selected={"marker": {"opacity": opacity}}, unselected={"marker": {"opacity": opacity}},
    )  # fmt: skip
    if bars:
        trace.error_y = {
            "type": "data", "symmetric": False, "thickness": 1.2, "width": 3, "color": color,
            "array": [100 * (trial.accuracy_high - trial.accuracy) for trial in trials],
            "arrayminus": [100 * (trial.accuracy - trial.accuracy_low) for trial in trials],
        }  # fmt: skip
    return trace


def _label(trial: Trial, x: Position, lift: int, palette: Palette) -> dict[str, Any]:
    """The landmark's name beside it, with a thin line to its symbol."""
    color = palette.landmarks[trial.origin]
    return {
        "x": x(trial), "y": 100 * trial.accuracy, "text": LANDMARKS[trial.origin], "ax": -26, "ay": -lift,
        "font": {"color": color, "size": 13}, "arrowcolor": color, "arrowwidth": 1, "arrowhead": 0,
        "standoff": 6, "bgcolor": palette.background, "opacity": 0.92, "borderpad": 1,
    }  # fmt: skip


def _step(front: Sequence[Trial], shown: Sequence[Trial], x: Position, palette: Palette) -> go.Scatter:
    """What accuracy each cost buys: flat from a member to the next, and on to the dearest trial."""
    xs, ys = [x(trial) for trial in front], [100 * trial.accuracy for trial in front]
    if front:
        xs, ys = [*xs, max(x(trial) for trial in shown)], [*ys, ys[-1]]
    return go.Scatter(
        x=xs, y=ys, mode="lines", name="Pareto front", hoverinfo="skip",
        line={"shape": "hv", "color": palette.front, "width": 2},
    )  # fmt: skip


def _ring(trial: Trial, x: Position, palette: Palette) -> go.Scatter:
    marker = {"symbol": "circle-open", "size": 22, "color": palette.text, "line": {"width": 2.5}}
    return go.Scatter(
        x=[x(trial)], y=[100 * trial.accuracy], mode="markers", hoverinfo="skip", showlegend=False,
        name="Selected", marker=marker,
    )  # fmt: skip


def _lay_out(figure: go.Figure, axis: str, cost: Cost, palette: Palette) -> None:
    common = {"gridcolor": palette.grid, "zeroline": False, "linecolor": palette.muted, "ticks": "outside"}
    figure.update_layout(
        height=HEIGHT, margin={"l": 8, "r": 16, "t": 36, "b": 8}, hovermode="closest", dragmode="zoom",
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"color": palette.text, "size": 13},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemclick": False,
                "itemdoubleclick": False},
        hoverlabel={"align": "left", "bgcolor": palette.background, "bordercolor": palette.muted,
                    "font": {"size": 13, "color": palette.text}},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": palette.muted, "activecolor": palette.front,
                 "remove": ["zoomin", "zoomout", "lasso", "select"]},
        xaxis={**common, "title": {"text": axis}, "tickcolor": palette.muted},
        yaxis={**common, "title": {"text": "Accuracy (%)"}, "tickcolor": palette.muted},
    )  # fmt: skip
    if cost.unit == "%":
        figure.update_xaxes(ticksuffix=" %")
