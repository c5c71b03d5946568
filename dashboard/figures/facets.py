"""Several pairs side by side on one scale. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.analysis.study_view import View
from dashboard.figures.front import Coloring, axis_scale, study_traces
from dashboard.figures.palette import lay_out, palette
from dashboard.wording import text
from storage.records import Trial

COLUMNS = 3
ROW_HEIGHT = 330


def facets_figure(views: Sequence[View], *, dark: bool = False, coloring: Coloring = "role") -> go.Figure:
    """One small front for each view, all with the same axes. The views share their cost."""
    colors, cost = palette(dark), views[0].cost
    columns = min(COLUMNS, len(views))
    rows = math.ceil(len(views) / columns)
    titles = [text.inert(f"{view.key.model} · {view.key.questions}") for view in views]
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=titles,
        shared_xaxes="all",
        shared_yaxes="all",
        horizontal_spacing=0.03,
        vertical_spacing=0.16 / rows,
    )
    every = [trial for view in views for trial in view.complete if math.isfinite(getattr(trial, cost.field))]
    factor, axis = axis_scale(cost, every)

    def x(trial: Trial) -> float:
        return getattr(trial, cost.field) / factor

    named: set[str] = set()
    for place, view in enumerate(views):
        shown = [trial for trial in view.complete if math.isfinite(getattr(trial, cost.field))]
        for trace in study_traces(view, shown, x, colors, coloring):
            trace.update(legendgroup=trace.name, showlegend=trace.name not in named)
            if trace.marker.colorbar.thickness and place:
                trace.marker.showscale = False
            named.add(trace.name)
            figure.add_trace(trace, row=place // columns + 1, col=place % columns + 1)
    lay_out(figure, colors, ROW_HEIGHT * rows + 90)
    figure.update_layout(legend={"y": -0.12 / rows, "yanchor": "top"}, margin={"t": 40, "b": 60})
    figure.update_xaxes(title={"text": axis}, row=rows)
    figure.update_yaxes(title={"text": "Accuracy (%)"}, col=1)
    figure.update_yaxes(autorangeoptions={"maxallowed": 103})
    if cost.unit == "%":
        figure.update_xaxes(ticksuffix=" %")
    return figure
