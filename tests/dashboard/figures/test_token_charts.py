"""Tokens left by layer, and which of an image survive."""

from __future__ import annotations

import io

from PIL import Image

from dashboard.figures.token_charts import GAP, SIDE, survivors, tokens_figure
from tests.dashboard.generated_store import LAYERS, searched


def test_tokens_by_layer_fall_at_the_cuts() -> None:
    trial = searched(3)[2]
    bars = {trace.name: list(trace.y) for trace in tokens_figure(trial, LAYERS).data}
    assert bars["Image tokens left"] == [144] * 2 + [72] * 6 + [18] * 4
    assert bars["Text tokens"] == [trial.text_tokens] * LAYERS


def test_dropped_tokens_are_washed_out_in_the_picture() -> None:
    picture = Image.new("RGB", (60, 60), (200, 0, 0))
    drawn = Image.open(io.BytesIO(survivors([(picture, (2, 2), {0})])))
    quarter = drawn.width // 4
    assert drawn.getpixel((quarter, quarter)) == (200, 0, 0)
    gone = drawn.getpixel((3 * quarter, quarter))
    assert isinstance(gone, tuple)
    assert min(gone) > 200
    whole = Image.open(io.BytesIO(survivors([(picture, (2, 2), None)])))
    assert whole.getpixel((3 * quarter, quarter)) == (200, 0, 0)


def test_frames_of_a_video_stand_side_by_side() -> None:
    frames = [(Image.new("RGB", (60, 40), color), (2, 3), {0}) for color in ("red", "blue")]
    strip = Image.open(io.BytesIO(survivors(frames)))
    assert strip.size == (2 * SIDE + GAP, round(SIDE * 40 / 60))
    assert strip.getpixel((SIDE // 6, SIDE // 6)) == (255, 0, 0)
    assert strip.getpixel((SIDE + GAP + SIDE // 6, SIDE // 6)) == (0, 0, 255)
