"""What the best setting of one pair costs on another: read off stored trials, never guessed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard import text
from dashboard.palette import lay_out, palette
from dashboard.queries import View, configuration, suggested
from storage.records import Trial

Pair = tuple[str, str]
_SCALE = 5.0  # points of accuracy at which a cell is fully colored


@dataclass(frozen=True)
class Cell:
    """A borrowed setting on one pair: the points it gains over that pair's dense model, and its trial."""

    to_dense: float
    trial: Trial


def borrowed(setting: Trial, target: View) -> Cell | None:
    """What `setting` does on `target`; None where that pair has not measured it or its dense model."""
    wanted = configuration(setting)
    dense = target.dense
    found = next((t for t in (*target.complete, *target.stopped) if configuration(t) == wanted), None)
    return None if dense is None or found is None else Cell(100 * (found.accuracy - dense.accuracy), found)


def transfers(views: Mapping[Pair, View]) -> dict[Pair, dict[Pair, Cell | None]]:
    """For each pair's suggested setting (the cheapest within one point of dense), its cell on every pair."""
    settings = {pair: suggested(view) for pair, view in views.items()}
    return {
        pair: {other: borrowed(setting, view) for other, view in views.items()}
        for pair, setting in settings.items()
        if setting is not None
    }


def transfer_figure(
    found: Mapping[Pair, Mapping[Pair, Cell | None]], names: Mapping[Pair, str], *, dark: bool = False
) -> go.Figure:
    """The cells as a colored table: rows lend their setting, columns borrow it."""
    colors = palette(dark)
    rows, columns = list(found), list(names)
    cells = [[found[row].get(column) for column in columns] for row in rows]
    figure = go.Figure(go.Heatmap(
        z=[[None if cell is None else cell.to_dense for cell in line] for line in cells],
        x=[text.inert(names[column]) for column in columns], y=[text.inert(names[row]) for row in rows],
        zmin=-_SCALE, zmax=_SCALE, hoverinfo="skip", showscale=False, xgap=3, ygap=3,
        colorscale=[[0, colors.bad], [0.5, colors.grid], [1, colors.good]],
    ))  # fmt: skip
    for i, line in enumerate(cells):
        for j, cell in enumerate(line):
            figure.add_annotation(
                x=j, y=i, text=_written(cell), showarrow=False,
                font={"size": 12, "color": colors.muted if cell is None else _ink(cell, colors.text)},
            )  # fmt: skip
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
    return f"{about}{text.points(cell.to_dense / 100)}<br>{text.percent(cell.trial.flops_ratio, 0)} FLOPs"


def settings_of(views: Mapping[Pair, View]) -> Sequence[tuple[Pair, Trial]]:
    """The setting that each pair lends."""
    return [(pair, setting) for pair, view in views.items() if (setting := suggested(view)) is not None]
