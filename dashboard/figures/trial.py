"""One trial as pictures: tokens left by layer, and which of an image survive. Pure."""

from __future__ import annotations

import io
from collections.abc import Collection

import plotly.graph_objects as go
from PIL import Image, ImageDraw

from dashboard.figures.palette import lay_out, palette
from storage.records import Trial

HEIGHT = 300
SIDE = 420  # pixels of the longer side of an overlay


def tokens_figure(trial: Trial, layers: int, *, dark: bool = False) -> go.Figure:
    """Image tokens left at each decoder layer, above the text tokens that all layers see."""
    colors = palette(dark)
    cuts = [0, min(trial.config.k1, layers), min(trial.config.k2, layers), layers]
    counts = [trial.image_tokens, trial.tokens_after_k1, trial.tokens_after_k2]
    figure = go.Figure()
    left = [counts[0] if i < cuts[1] else counts[1] if i < cuts[2] else counts[2] for i in range(layers)]
    named = [f"Layer {i}: {n:.1f} of {counts[0]:.1f} image tokens" for i, n in enumerate(left)]
    figure.add_trace(
        go.Bar(
            x=list(range(layers)),
            y=[trial.text_tokens] * layers,
            name="Text tokens",
            hoverinfo="skip",
            marker={"color": colors.trial, "opacity": 0.55},
        )
    )
    figure.add_trace(
        go.Bar(
            x=list(range(layers)),
            y=left,
            name="Image tokens left",
            hovertext=named,
            hovertemplate="%{hovertext}<extra></extra>",
            marker={"color": colors.front},
        )
    )
    figure.add_trace(
        go.Bar(
            x=list(range(layers)),
            y=[counts[0] - n for n in left],
            name="Dropped",
            hoverinfo="skip",
            marker={"color": "rgba(0,0,0,0)", "line": {"color": colors.muted, "width": 1}, "opacity": 0.5},
        )
    )
    title = "Decoder layer"
    lay_out(figure, colors, HEIGHT, title, "Tokens, mean per prompt")
    for name, layer, rate in (("K1", trial.config.k1, trial.config.r1), ("K2", trial.config.k2, trial.config.r2)):
        if rate > 0 and layer < layers:
            figure.add_vline(x=layer - 0.5, line={"color": colors.text, "width": 1, "dash": "dot"})
            figure.add_annotation(
                x=layer - 0.5,
                y=1,
                yref="paper",
                yanchor="bottom",
                showarrow=False,
                text=f"{name} = {layer}",
                font={"color": colors.text},
            )
    if layers <= 16:
        figure.update_xaxes(dtick=1)
    return figure.update_layout(barmode="stack", bargap=0.12, margin={"t": 64}, legend={"y": 1.12})


def survivors(picture: Image.Image, grid: tuple[int, int], kept: Collection[int] | None) -> bytes:
    """The image as PNG with what was dropped washed out; tokens count from the top left, row by row.

    Args:
        grid: rows and columns of image tokens.
        kept: tokens that are left; None draws only the grid.
    """
    scale = SIDE / max(picture.size)
    size = round(picture.width * scale), round(picture.height * scale)
    large = picture.convert("RGB").resize(size, Image.Resampling.NEAREST).convert("RGBA")
    cover = Image.new("RGBA", large.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(cover)
    rows, columns = grid
    for token in range(rows * columns):
        row, column = divmod(token, columns)
        box = (
            round(column * size[0] / columns),
            round(row * size[1] / rows),
            round((column + 1) * size[0] / columns) - 1,
            round((row + 1) * size[1] / rows) - 1,
        )
        gone = kept is not None and token not in kept
        draw.rectangle(box, fill=(238, 240, 244, 232) if gone else None, outline=(255, 255, 255, 70))
    file = io.BytesIO()
    Image.alpha_composite(large, cover).convert("RGB").save(file, "PNG")
    return file.getvalue()
