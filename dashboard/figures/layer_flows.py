"""Draw information flow, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping

import plotly.graph_objects as go

from dashboard.analysis.stored_flows import Flow
from dashboard.figures.palette import Palette, lay_out, palette

HEIGHT = 340
FLOWS = {
    "visual_textual": "image to instruction (S_vt)",
    "intra_visual": "among image tokens (S_vv)",
    "image": "out of the image (S_img)",
    "instruction": "out of the instruction (S_ins)",
    "system": "out of the system prompt (S_sys)",
}


def saliency_figure(flow: Flow, *, dark: bool = False) -> go.Figure:
    """How much flows where, layer by layer, with 95 % intervals."""
    colors, figure = palette(dark), go.Figure()
    for index, (name, title) in enumerate(FLOWS.items()):
        if name in flow.summary["saliency"]:
            _band(figure, flow.summary["saliency"][name], title, colors.series[index])
    lay_out(figure, colors, HEIGHT, "Decoder layer", "Saliency per token")
    return figure.update_yaxes(type="log", exponentformat="power")


def ratio_figure(flow: Flow, *, dark: bool = False) -> go.Figure:
    """The bias ratio D_l: below 0 the image speaks to the text, above 0 to itself."""
    colors, figure = palette(dark), go.Figure()
    _band(figure, flow.summary["bias_ratio"], "D_l = log(E_vv / E_vt)", colors.series[0])
    lay_out(figure, colors, HEIGHT, "Decoder layer", "Bias ratio D_l")
    _zero(figure, colors)
    return figure.update_layout(showlegend=False, margin={"t": 12})


def _band(figure: go.Figure, estimates: list[Mapping[str, float] | None], name: str, color: str) -> None:
    def column(part: str) -> list[float]:
        return [math.nan if one is None else float(one[part]) for one in estimates]

    mean, low, high = column("mean"), column("low"), column("high")
    figure.add_trace(
        go.Scatter(
            x=list(range(len(mean))),
            y=mean,
            mode="lines+markers",
            name=name,
            line={"color": color, "width": 2},
            error_y={
                "type": "data",
                "symmetric": False,
                "thickness": 1,
                "width": 2,
                "color": color,
                "array": [h - m for m, h in zip(mean, high, strict=True)],
                "arrayminus": [m - l_ for m, l_ in zip(mean, low, strict=True)],
            },
            hovertemplate="layer %{x}: %{y:.3g}",
        )
    )


def _zero(figure: go.Figure, colors: Palette) -> None:
    figure.add_hline(y=0, line={"color": colors.muted, "width": 1, "dash": "dot"})
