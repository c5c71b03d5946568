"""The colors and the look that all figures share, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from dashboard.analysis.study_view import BASELINE_NAMES
from dashboard.wording.formatting import inert


@dataclass(frozen=True)
class Palette:
    """Colors on one background, chosen to differ for color-blind people too; `depth` is a color scale of plotly."""

    trial: str
    front: str
    text: str
    muted: str
    grid: str
    background: str
    good: str
    bad: str
    baselines: dict[str, str]
    series: list[str]
    depth: str


def _colors(names: str) -> list[str]:
    return names.split()


LIGHT = Palette(
    trial="#8c98a8",
    front="#1f5fbf",
    text="#1b2230",
    muted="#5a6678",
    grid="#e8ecf2",
    background="#ffffff",
    good="#00795a",
    bad="#b3261e",
    baselines=dict(
        zip(BASELINE_NAMES, _colors("#1b2230 #c2500a #00795a #4a8f2f #8a3fa8 #a8397c #6f5bd0"), strict=True)
    ),
    series=_colors("#1f5fbf #c2500a #00795a #8a3fa8 #8a6d00 #0b7285 #b3261e #5f3dc4 #6b7280 #a8397c"),
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
    baselines=dict(
        zip(BASELINE_NAMES, _colors("#f4f6f9 #ff9a57 #45cfa2 #9bd777 #d799f0 #f58cc0 #a99bff"), strict=True)
    ),
    series=_colors("#6aa5ff #ff9a57 #45cfa2 #d799f0 #e3c34a #5fd0e3 #ff8a80 #a99bff #a3afbf #f58cc0"),
    depth="Viridis",
)


def palette(dark: bool) -> Palette:
    """Return the palette of the theme."""
    return DARK if dark else LIGHT


def lay_out(figure: go.Figure, colors: Palette, height: int, x: str = "", y: str = "") -> go.Figure:
    """Give a figure the look that all share: no frame, faint grid, a legend above, and these axis titles."""
    axis = {
        "gridcolor": colors.grid,
        "zeroline": False,
        "linecolor": colors.muted,
        "ticks": "outside",
        "tickcolor": colors.muted,
    }
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemclick": False, "itemdoubleclick": False}
    label = {"size": 13, "color": colors.text}
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 16, "t": 36, "b": 8},
        hovermode="closest",
        dragmode="zoom",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font=label,
        legend=legend,
        hoverlabel={"align": "left", "bgcolor": colors.background, "bordercolor": colors.muted, "font": label},
        modebar={
            "bgcolor": "rgba(0,0,0,0)",
            "color": colors.muted,
            "activecolor": colors.front,
            "remove": ["zoomin", "zoomout", "lasso", "select", "resetscale"],
        },
    )
    for update, title in ((figure.update_xaxes, x), (figure.update_yaxes, y)):
        update(**axis, **({"title": {"text": inert(title)}} if title else {}))
    return figure


def error_bars(means: Sequence[float], lows: Sequence[float], highs: Sequence[float], **style: Any) -> dict[str, Any]:
    """Return error bars of plotly that reach from `lows` to `highs`."""
    up = [high - mean for mean, high in zip(means, highs, strict=True)]
    down = [mean - low for mean, low in zip(means, lows, strict=True)]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, **style}
