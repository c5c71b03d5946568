"""Information flow, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dashboard.analysis.stored_flows import StoredFlow
from dashboard.figures.palette import error_bars, lay_out, palette

HEIGHT = 340
FLOWS = {
    "visual_textual": "image to instruction (S_vt)",
    "intra_visual": "among image tokens (S_vv)",
    "image": "out of the image (S_img)",
    "instruction": "out of the instruction (S_ins)",
    "system": "out of the system prompt (S_sys)",
}


def saliency_figure(flow: StoredFlow, *, dark: bool = False) -> go.Figure:
    """Return how much flows where, with 95 % intervals."""
    colors, figure = palette(dark), go.Figure()
    for index, (name, title) in enumerate(FLOWS.items()):
        if name in flow.summary["saliency"]:
            _add_line(figure, flow.summary["saliency"][name], title, colors.series[index])
    lay_out(figure, colors, HEIGHT, "Decoder layer", "Saliency per token")
    return figure.update_yaxes(type="log", exponentformat="power")


def ratio_figure(flow: StoredFlow, *, dark: bool = False) -> go.Figure:
    """Return the bias ratio D_l: below 0 the image informs the text, above 0 itself."""
    colors, figure = palette(dark), go.Figure()
    _add_line(figure, flow.summary["bias_ratio"], "D_l = log(E_vv / E_vt)", colors.series[0])
    lay_out(figure, colors, HEIGHT, "Decoder layer", "Bias ratio D_l")
    figure.add_hline(y=0, line={"color": colors.muted, "width": 1, "dash": "dot"})
    return figure.update_layout(showlegend=False, margin={"t": 12})


def _add_line(figure: go.Figure, estimates: Sequence[Mapping[str, float] | None], name: str, color: str) -> None:
    """Add a line with intervals; it has a gap where there is no estimate."""

    def column(part: str) -> list[float]:
        return [math.nan if estimate is None else float(estimate[part]) for estimate in estimates]

    means = column("mean")
    figure.add_trace(
        go.Scatter(
            x=list(range(len(means))),
            y=means,
            mode="lines+markers",
            name=name,
            line={"color": color, "width": 2},
            error_y=error_bars(means, column("low"), column("high"), thickness=1, width=2, color=color),
            hovertemplate="layer %{x}: %{y:.3g}",
        )
    )
