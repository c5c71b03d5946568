"""Draw a scene: colored shapes, letters and signs with words on a textured background."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from objectives.scenes.scene import Scene, Thing

CELL = 24
_RGB = {
    "red": (214, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "yellow": (240, 214, 40),
    "purple": (150, 50, 180),
    "orange": (246, 140, 30),
    "cyan": (60, 210, 220),
    "white": (245, 245, 245),
}
_SCALE = 3  # drawn three times as large, then reduced, for smooth edges


def place(scene: Scene) -> np.ndarray:
    """Return the place of each thing in pixels: (things, 4) with center x, center y, half width, half height."""
    rng = np.random.default_rng([scene.seed, 1])
    places = np.empty((len(scene.things), 4))
    for place_, thing in zip(places, scene.things, strict=True):
        radius = 9.5 if thing.large else 6.5
        slack = 0.0 if thing.kind == "sign" else (CELL / 2 - radius) * 0.8
        place_[:2] = (np.array([thing.column, thing.row]) + 0.5) * CELL + rng.uniform(-slack, slack, 2)
        place_[2:] = (11.5, 6.0) if thing.kind == "sign" else (radius, radius)
    return places


def render(scene: Scene) -> Image.Image:
    """Return the scene as an RGB image of `rows * 24` by `columns * 24` pixels."""
    rng = np.random.default_rng(scene.seed)
    canvas = _background(rng, scene.rows * CELL, scene.columns * CELL)
    draw = ImageDraw.Draw(canvas)
    for thing, place_ in zip(scene.things, place(scene) * _SCALE, strict=True):
        x, y, half_width, _ = place_.tolist()
        _draw_thing(draw, thing, x, y, half_width)
    return canvas.resize((scene.columns * CELL, scene.rows * CELL), Image.Resampling.BOX)


def _background(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    coarse = rng.uniform(70, 130, (height // 12 + 1, width // 12 + 1, 3)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 9, (height, width, 1))
    noisy = np.clip(np.asarray(image, dtype=np.float64) + grain, 0, 255).astype(np.uint8)
    canvas = Image.fromarray(noisy).resize((width * _SCALE, height * _SCALE), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(4, 10)):  # distractors: gray strokes without meaning
        start = rng.uniform(0, 1, 2) * (width, height) * _SCALE
        end = start + rng.uniform(-40, 40, 2)
        draw.line([*start.tolist(), *end.tolist()], fill=(int(rng.integers(40, 170)),) * 3, width=3)
    return canvas


def _draw_thing(draw: ImageDraw.ImageDraw, thing: Thing, x: float, y: float, r: float) -> None:
    fill = _RGB[thing.color]
    if thing.kind == "sign":
        draw.rectangle([x - r, y - 6 * _SCALE, x + r, y + 6 * _SCALE], fill=fill)
        draw.text((x, y), thing.text, fill=(0, 0, 0), font=_font(11 * _SCALE), anchor="mm", stroke_width=1)
    elif thing.kind == "letter":
        draw.text((x, y), thing.text, fill=fill, font=_font(2.3 * r), anchor="mm", stroke_width=4)
    elif thing.kind == "circle":
        draw.ellipse([x - r, y - r, x + r, y + r], fill=fill)
    elif thing.kind == "ring":
        draw.ellipse([x - r, y - r, x + r, y + r], outline=fill, width=round(r * 0.42))
    elif thing.kind == "moon":
        angles = np.linspace(0.25 * math.pi, 1.75 * math.pi, 24)
        outer = [(x + r * math.cos(a), y + r * math.sin(a)) for a in angles]
        inner = [(x + 0.25 * r + 0.6 * r * math.cos(a), y + 0.75 * r * math.sin(a)) for a in angles[::-1]]
        draw.polygon(outer + inner, fill=fill)
    else:
        draw.polygon([(x + r * px, y + r * py) for px, py in _OUTLINES[thing.kind]], fill=fill)


def _star() -> list[tuple[float, float]]:
    radii = [1.1 if i % 2 == 0 else 0.45 for i in range(10)]
    return [(q * math.sin(i * math.pi / 5), -q * math.cos(i * math.pi / 5)) for i, q in enumerate(radii)]


def _cross() -> list[tuple[float, float]]:
    arm = [(-0.33, -1.0), (0.33, -1.0), (0.33, -0.33)]
    quarters = [arm, [(-y, x) for x, y in arm], [(-x, -y) for x, y in arm], [(y, -x) for x, y in arm]]
    return [point for quarter in quarters for point in quarter]


_OUTLINES: dict[str, list[tuple[float, float]]] = {
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "triangle": [(0, -1), (1, 0.85), (-1, 0.85)],
    "diamond": [(0, -1.1), (0.8, 0), (0, 1.1), (-0.8, 0)],
    "star": _star(),
    "cross": _cross(),
}


@lru_cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
