"""How a search went, as figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dashboard.analysis.importance import PARAMETERS, Importance
from dashboard.analysis.search_history import Busy, Growth, windows
from dashboard.figures.palette import lay_out, palette
from dashboard.wording import formatting
from storage.records import Trial

HEIGHT = 340
WINDOWS = 120


def growth_figure(
    studies: Mapping[str, Growth], control: float | None, *, seconds: bool = False, dark: bool = False
) -> go.Figure:
    """Hypervolume of one or more studies by trials or by seconds; `control` is a level to beat."""
    colors = palette(dark)
    figure = go.Figure()
    for index, (name, grown) in enumerate(studies.items()):
        figure.add_trace(
            go.Scatter(
                x=grown.seconds if seconds else grown.numbers,
                y=grown.volumes,
                mode="lines",
                name=formatting.inert(name),
                line={
                    "shape": "hv",
                    "width": 2.5 if index == 0 else 1.5,
                    "color": colors.series[index % len(colors.series)],
                    "dash": "solid" if index == 0 else "dash",
                },
                hovertemplate="%{y:.4f} after %{x:.0f}" + (" s" if seconds else " trials"),
            )
        )
    lay_out(figure, colors, HEIGHT, "Seconds since the first trial" if seconds else "Trials", "Hypervolume")
    if control is not None:
        figure.add_hline(
            y=control,
            line={"color": colors.landmarks["random"], "dash": "dot", "width": 1.5},
            annotation={"text": "dense and the random controls alone", "font": {"color": colors.landmarks["random"]}},
            annotation_position="bottom right",
        )
    return figure.update_layout(showlegend=True)


def importance_figure(found: Importance, *, dark: bool = False) -> go.Figure:
    """The share of each parameter as bars, the largest above."""
    colors = palette(dark)
    ordered = sorted(found.shares.items(), key=lambda one: one[1])
    figure = go.Figure(
        go.Bar(
            x=[100 * share for _, share in ordered],
            y=[PARAMETERS[name] for name, _ in ordered],
            orientation="h",
            marker={"color": colors.front},
            hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
        )
    )
    lay_out(figure, colors, HEIGHT, "Share of what the forest explains (%)")
    figure.update_yaxes(showgrid=False)
    return figure.update_layout(margin={"t": 12})


def busy_figure(found: Busy, *, dark: bool = False) -> go.Figure:
    """Trials running at the same time, the mean of each of 120 windows."""
    colors = palette(dark)
    times, means = windows(found, WINDOWS)
    figure = go.Figure(
        go.Scatter(
            x=times,
            y=means,
            mode="lines",
            line={"shape": "hv", "color": colors.front, "width": 1.5},
            fill="tozeroy",
            hovertemplate="%{y:.1f} running<extra></extra>",
        )
    )
    lay_out(figure, colors, 220, "Time (UTC)", "Trials running")
    figure.update_yaxes(rangemode="tozero", dtick=1 if max(means, default=0) <= 8 else None)
    return figure.update_layout(margin={"t": 12})


def stops_figure(stopped: Sequence[Trial], questions: int, *, dark: bool = False) -> go.Figure:
    """After how many questions trials were given up."""
    colors = palette(dark)
    figure = go.Figure(
        go.Histogram(
            x=[trial.n for trial in stopped],
            xbins={"start": 0, "end": questions, "size": max(1, questions / 20)},
            marker={"color": colors.front},
            hovertemplate="%{y} stopped after %{x} questions<extra></extra>",
        )
    )
    lay_out(figure, colors, 220, f"Questions asked, of {questions}", "Trials stopped")
    figure.update_xaxes(range=[0, questions])
    return figure.update_layout(margin={"t": 12}, bargap=0.05)
