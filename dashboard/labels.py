"""The names of landmarks beside their points, placed so that they do not cover each other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dashboard.palette import Palette
from dashboard.queries import LANDMARKS
from storage.records import Trial

LIFT, LINE = 46, 20  # pixels from a landmark to its label, and from one label to the next
HIGHEST = 0.95  # above it there is no room for a label below 100 %


def landmark_labels(
    trials: Sequence[Trial], front: Sequence[Trial], x: Callable[[Trial], float], colors: Palette
) -> list[dict[str, Any]]:
    """An annotation for each landmark."""
    lifts = label_lifts(*([(x(trial), trial.accuracy) for trial in some] for some in (trials, front)))
    return [_label(trial, x, lift, colors) for trial, lift in zip(trials, lifts, strict=True)]


def label_lifts(points: Sequence[tuple[float, float]], front: Sequence[tuple[float, float]]) -> list[int]:
    """How many pixels above its point (below, if negative) each label stands. Points are (cost, value).

    Above where the front is near, since nothing is measured above it; below for points far under the
    front, so that no label covers it, and near 100 %, where there is no room above. A label whose
    neighbor already stands there goes one line further.
    """
    if not points:
        return []
    everything = [*points, *front]
    xs, ys = [x for x, _ in everything], [y for _, y in everything]
    width, height = max(xs) - min(xs) or 1.0, max(ys) - min(ys) or 1.0
    lifts: list[int] = []
    for index, (x, y) in enumerate(points):
        best = max((value for cost, value in front if cost <= x), default=y)
        sign = -1 if best - y > 0.2 * height or y > HIGHEST else 1
        near = [
            abs(lift)
            for (other_x, other_y), lift in zip(points[:index], lifts, strict=True)
            if lift * sign > 0 and abs(other_x - x) < 0.15 * width and abs(other_y - y) < 0.15 * height
        ]
        lifts.append(sign * (max(near) + LINE if near else LIFT))
    return lifts


def _label(trial: Trial, x: Callable[[Trial], float], lift: int, colors: Palette) -> dict[str, Any]:
    """The landmark's name beside it, with a thin line to its symbol."""
    color = colors.landmarks[trial.origin]
    return {
        "x": x(trial), "y": 100 * trial.accuracy, "text": LANDMARKS[trial.origin], "ax": -26, "ay": -lift,
        "font": {"color": color, "size": 13}, "arrowcolor": color, "arrowwidth": 1, "arrowhead": 0,
        "standoff": 6, "bgcolor": colors.background, "opacity": 0.92, "borderpad": 1,
    }  # fmt: skip
