"""The colors of every figure, light and dark. Pairs stay apart for people who see fewer of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from dashboard.wording import formatting


@dataclass(frozen=True)
class Palette:
    """Colors on one background; `series` are told apart in their order."""

    trial: str
    front: str
    text: str
    muted: str
    grid: str
    background: str
    good: str
    bad: str
    landmarks: dict[str, str]
    series: tuple[str, ...]
    depth: str  # a color scale of plotly, shallow to deep


LIGHT = Palette(
    trial="#8c98a8",
    front="#1f5fbf",
    text="#1b2230",
    muted="#5a6678",
    grid="#e8ecf2",
    background="#ffffff",
    good="#00795a",
    bad="#b3261e",
    landmarks={
        "dense": "#1b2230",
        "fastv": "#c2500a",
        "paper": "#00795a",
        "paper_long": "#4a8f2f",
        "random": "#8a3fa8",
        "uniform": "#a8397c",
        "downsample": "#6f5bd0",
    },
    series=(
        "#1f5fbf",
        "#c2500a",
        "#00795a",
        "#8a3fa8",
        "#8a6d00",
        "#0b7285",
        "#b3261e",
        "#5f3dc4",
        "#6b7280",
        "#a8397c",
    ),
    depth="Viridis_r",
)
DARK = Palette(
    trial="#7d8a9c",
    front="#6aa5ff",
    text="#e6eaf0",
    muted="#a3afbf",
    grid="#242d39",
    background="#10151c",
    good="#45cfa2",
    bad="#ff8a80",
    landmarks={
        "dense": "#f4f6f9",
        "fastv": "#ff9a57",
        "paper": "#45cfa2",
        "paper_long": "#9bd777",
        "random": "#d799f0",
        "uniform": "#f58cc0",
        "downsample": "#a99bff",
    },
    series=(
        "#6aa5ff",
        "#ff9a57",
        "#45cfa2",
        "#d799f0",
        "#e3c34a",
        "#5fd0e3",
        "#ff8a80",
        "#a99bff",
        "#a3afbf",
        "#f58cc0",
    ),
    depth="Viridis",
)


def palette(dark: bool) -> Palette:
    """The palette of the theme."""
    return DARK if dark else LIGHT


def lay_out(figure: go.Figure, colors: Palette, height: int, x: str = "", y: str = "") -> go.Figure:
    """The look that all figures share: no frame, faint grid, a legend above, titles with units."""
    axis = axis_style(colors)
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 16, "t": 36, "b": 8},
        hovermode="closest",
        dragmode="zoom",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": colors.text, "size": 13},
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        hoverlabel={
            "align": "left",
            "bgcolor": colors.background,
            "bordercolor": colors.muted,
            "font": {"size": 13, "color": colors.text},
        },
        modebar={
            "bgcolor": "rgba(0,0,0,0)",
            "color": colors.muted,
            "activecolor": colors.front,
            "remove": ["zoomin", "zoomout", "lasso", "select", "resetscale"],
        },
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    if x:
        figure.update_xaxes(title={"text": formatting.inert(x)})
    if y:
        figure.update_yaxes(title={"text": formatting.inert(y)})
    return figure


def axis_style(colors: Palette) -> dict[str, Any]:
    """What every axis has."""
    return {
        "gridcolor": colors.grid,
        "zeroline": False,
        "linecolor": colors.muted,
        "ticks": "outside",
        "tickcolor": colors.muted,
    }
