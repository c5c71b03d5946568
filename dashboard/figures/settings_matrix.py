"""Draw what the best setting of one pair costs on another."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from dashboard.analysis.borrowed_settings import Cell, Pair
from dashboard.figures.palette import lay_out, palette
from dashboard.wording import formatting

_SCALE = 5.0  # points of accuracy at which a cell is fully colored


def transfer_figure(
    found: Mapping[Pair, Mapping[Pair, Cell | None]], names: Mapping[Pair, str], *, dark: bool = False
) -> go.Figure:
    """The cells as a colored table: rows lend their setting, columns borrow it."""
    colors = palette(dark)
    rows, columns = list(found), list(names)
    cells = [[found[row].get(column) for column in columns] for row in rows]
    figure = go.Figure(
        go.Heatmap(
            z=[[None if cell is None else cell.to_dense for cell in line] for line in cells],
            x=[formatting.inert(names[column]) for column in columns],
            y=[formatting.inert(names[row]) for row in rows],
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
            figure.add_annotation(
                x=j,
                y=i,
                text=_written(cell),
                showarrow=False,
                font={"size": 12, "color": colors.muted if cell is None else _ink(cell, colors.text)},
            )
    lay_out(figure, colors, 90 + 56 * len(rows))
    figure.update_xaxes(side="top", showgrid=False, ticks="", title={"text": "measured on"})
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="", title={"text": "best setting of"})
    return figure.update_layout(margin={"t": 60})


def _ink(cell: Cell, usual: str) -> str:
    """White where the cell is dark."""
    return "#ffffff" if abs(cell.to_dense) > 0.6 * _SCALE else usual


def _written(cell: Cell | None) -> str:
    if cell is None:
        return "not measured"
    about = "≈ " if not cell.trial.complete else ""
    return f"{about}{formatting.points(cell.to_dense / 100)}<br>{formatting.percent(cell.trial.flops_ratio, 0)} FLOPs"
