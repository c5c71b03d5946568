"""The tokens of one trial: how many are left by layer, and which of an image survive."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from typing import Any

import plotly.graph_objects as go
from PIL import Image, ImageDraw

from dashboard.figures.palette import lay_out, palette
from storage.records import Trial

HEIGHT = 300
SIDE = 420  # pixels of the longer side of an overlay
GAP = 6  # pixels between frames
# An image, rows and columns of its tokens, and those left, counted from the top left row by row; None: only the grid.
Picture = tuple[Image.Image, tuple[int, int], Collection[int] | None]


def tokens_figure(trial: Trial, layers: int, *, dark: bool = False) -> go.Figure:
    """Return the image tokens left at each decoder layer, above the text tokens that all layers see."""
    colors, config = palette(dark), trial.config
    total, all_layers = trial.image_tokens, list(range(layers))
    left = [
        total if layer < config.k1 else trial.tokens_after_k1 if layer < config.k2 else trial.tokens_after_k2
        for layer in all_layers
    ]

    def bars(name: str, counts: list[float], color: str, **style: Any) -> go.Bar:
        marker = {"color": color, **style}
        return go.Bar(x=all_layers, y=counts, name=name, marker=marker, hoverinfo="skip")

    figure = go.Figure()
    figure.add_trace(bars("Text tokens", [trial.text_tokens] * layers, colors.trial, opacity=0.55))
    figure.add_trace(bars("Image tokens left", left, colors.front))
    hover = [f"Layer {layer}: {count:.1f} of {total:.1f} image tokens" for layer, count in enumerate(left)]
    figure.data[1].update(hoverinfo=None, hovertext=hover, hovertemplate="%{hovertext}<extra></extra>")
    outline = {"color": colors.muted, "width": 1}
    dropped = [total - count for count in left]
    figure.add_trace(bars("Dropped", dropped, "rgba(0,0,0,0)", line=outline, opacity=0.5))
    lay_out(figure, colors, HEIGHT, "Decoder layer", "Tokens, mean per prompt")
    for name, layer, rate in (("K1", config.k1, config.r1), ("K2", config.k2, config.r2)):
        if rate > 0 and layer < layers:
            figure.add_vline(
                x=layer - 0.5,
                line={"color": colors.text, "width": 1, "dash": "dot"},
                annotation={"text": f"{name} = {layer}", "font": {"color": colors.text}, "xanchor": "center"},
                annotation_position="top",
            )
    if layers <= 16:
        figure.update_xaxes(dtick=1)
    return figure.update_layout(barmode="stack", bargap=0.12, margin={"t": 64}, legend={"y": 1.12})


def survivors(pictures: Sequence[Picture]) -> bytes:
    """Return images of one height side by side, as the frames of a video, as PNG with dropped tokens washed out."""
    washed = [_washed(*picture) for picture in pictures]
    strip = Image.new("RGB", (sum(one.width for one in washed) + GAP * (len(washed) - 1), washed[0].height), "white")
    left = 0
    for one in washed:
        strip.paste(one, (left, 0))
        left += one.width + GAP
    file = io.BytesIO()
    strip.save(file, "PNG")
    return file.getvalue()


def _washed(picture: Image.Image, grid: tuple[int, int], kept: Collection[int] | None) -> Image.Image:
    scale = SIDE / max(picture.size)
    width, height = round(picture.width * scale), round(picture.height * scale)
    large = picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST).convert("RGBA")
    cover = Image.new("RGBA", large.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(cover)
    rows, columns = grid
    for token in range(rows * columns):
        row, column = divmod(token, columns)
        top_left = round(column * width / columns), round(row * height / rows)
        bottom_right = round((column + 1) * width / columns) - 1, round((row + 1) * height / rows) - 1
        fill = (238, 240, 244, 232) if kept is not None and token not in kept else None
        draw.rectangle((top_left, bottom_right), fill=fill, outline=(255, 255, 255, 70))
    return Image.alpha_composite(large, cover).convert("RGB")
