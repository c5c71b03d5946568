"""What the suggested configuration of one study does in another, as a colored table."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from dashboard.analysis.cross_study import CrossResult
from dashboard.analysis.study_view import Pair
from dashboard.figures.palette import lay_out, palette
from dashboard.wording.formatting import inert, percent, points

_SCALE = 5.0  # points of accuracy at which a cell is fully colored


def settings_figure(
    results: Mapping[Pair, Mapping[Pair, CrossResult | None]], names: Mapping[Pair, str], *, dark: bool = False
) -> go.Figure:
    """Return the results as a colored table: rows lend a configuration, columns measured it."""
    colors = palette(dark)
    rows, columns = list(results), list(names)
    cells = [[results[row].get(column) for column in columns] for row in rows]
    figure = go.Figure(
        go.Heatmap(
            z=[[None if cell is None else cell.points for cell in line] for line in cells],
            x=[inert(names[column]) for column in columns],
            y=[inert(names[row]) for row in rows],
            zmin=-_SCALE,
            zmax=_SCALE,
            hoverinfo="skip",
            showscale=False,
            xgap=3,
            ygap=3,
            colorscale=[[0, colors.bad], [0.5, colors.grid], [1, colors.good]],
        )
    )
    for i, line in enumerate(cells):
        for j, cell in enumerate(line):
            color = colors.muted if cell is None else colors.text
            if cell is not None and abs(cell.points) > 0.6 * _SCALE:
                color = colors.background  # readable on the full color
            font = {"size": 12, "color": color}
            figure.add_annotation(x=j, y=i, text=cell_text(cell), showarrow=False, font=font)
    lay_out(figure, colors, 90 + 56 * len(rows))
    figure.update_xaxes(side="top", showgrid=False, ticks="", title={"text": "measured on"})
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="", title={"text": "configuration of"})
    return figure.update_layout(margin={"t": 60})


def cell_text(cell: CrossResult | None) -> str:
    """Return the text of one cell; ≈ marks the estimate of a pruned trial."""
    if cell is None:
        return "not measured"
    about = "" if cell.trial.complete else "≈ "
    return f"{about}{points(cell.points / 100)}<br>{percent(cell.trial.flops_ratio, 0)} FLOPs"
