"""How a search went, as charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dashboard.analysis.importance import PARAMETERS, Importance
from dashboard.analysis.search_history import Growth, RunningTrials
from dashboard.figures.palette import lay_out, palette
from dashboard.wording.formatting import inert
from storage.records import Trial

HEIGHT, LOW_HEIGHT = 340, 220
WINDOWS = 120


def growth_figure(
    studies: Mapping[str, Growth], control: float | None, *, seconds: bool = False, dark: bool = False
) -> go.Figure:
    """Return the hypervolume of studies by trials or by seconds, the first study in bold; `control` is a level."""
    colors, figure = palette(dark), go.Figure()
    for index, (name, growth) in enumerate(studies.items()):
        color, main = colors.series[index % len(colors.series)], index == 0
        line = {"shape": "hv", "color": color, "width": 2.5 if main else 1.5, "dash": "solid" if main else "dash"}
        figure.add_trace(
            go.Scatter(
                x=growth.seconds if seconds else list(range(1, len(growth.volumes) + 1)),
                y=growth.volumes,
                mode="lines",
                name=inert(name),
                line=line,
                hovertemplate="%{y:.4f} after %{x:.0f}" + (" s" if seconds else " trials"),
            )
        )
    lay_out(figure, colors, HEIGHT, "Seconds since the first trial" if seconds else "Trials", "Hypervolume")
    if control is not None:
        color = colors.baselines["random"]
        figure.add_hline(
            y=control,
            line={"color": color, "dash": "dot", "width": 1.5},
            annotation={"text": "dense and the random controls alone", "font": {"color": color}},
            annotation_position="bottom right",
        )
    return figure.update_layout(showlegend=True)


def importance_figure(importance: Importance, *, dark: bool = False) -> go.Figure:
    """Return the share of each parameter as bars, the largest on top."""
    colors, ordered = palette(dark), sorted(importance.shares.items(), key=lambda item: item[1])
    bars = go.Bar(
        x=[100 * share for _, share in ordered],
        y=[PARAMETERS[name] for name, _ in ordered],
        orientation="h",
        marker={"color": colors.front},
        hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
    )
    figure = lay_out(go.Figure(bars), colors, HEIGHT, "Share of what the forest explains (%)")
    return figure.update_yaxes(showgrid=False).update_layout(margin={"t": 12})


def running_figure(running: RunningTrials, *, dark: bool = False) -> go.Figure:
    """Return how many trials ran at the same time: the mean of each of 120 windows."""
    colors = palette(dark)
    times, means = running.windows(WINDOWS)
    line = go.Scatter(
        x=times,
        y=means,
        mode="lines",
        line={"shape": "hv", "color": colors.front, "width": 1.5},
        fill="tozeroy",
        hovertemplate="%{y:.1f} running<extra></extra>",
    )
    figure = lay_out(go.Figure(line), colors, LOW_HEIGHT, "Time (UTC)", "Trials running")
    figure.update_yaxes(rangemode="tozero", dtick=1 if max(means, default=0) <= 8 else None)
    return figure.update_layout(margin={"t": 12})


def pruned_figure(pruned: Sequence[Trial], questions: int, *, dark: bool = False) -> go.Figure:
    """Return after how many questions trials were pruned."""
    colors = palette(dark)
    bars = go.Histogram(
        x=[trial.n for trial in pruned],
        xbins={"start": 0, "end": questions, "size": max(1, questions / 20)},
        marker={"color": colors.front},
        hovertemplate="%{y} pruned after %{x} questions<extra></extra>",
    )
    figure = lay_out(go.Figure(bars), colors, LOW_HEIGHT, f"Questions asked, of {questions}", "Pruned trials")
    return figure.update_xaxes(range=[0, questions]).update_layout(margin={"t": 12}, bargap=0.05)
