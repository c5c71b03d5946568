"""What each image token shows: the dense labels that train the vision towers, and their words."""

from __future__ import annotations

import numpy as np

from minis.recipe.text import attributes
from objectives.scenes import COLORS, KINDS, LETTERS, WORDS, Scene, place

TEXTS = ("", *LETTERS, *WORDS)
# Classes of each label: kind (0 is background), color, size, text, row, column, center of its thing.
CLASSES = (len(KINDS) + 1, len(COLORS), 2, len(TEXTS), 5, 5, 2)
_MARGIN = 2.5


def owners(scene: Scene, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which thing each token of a `height` x `width` grid shows, and whether it holds the thing's center.

    Both are (height * width,); a token of the background has thing -1.
    """
    scale = np.array([width / (scene.columns * 24), height / (scene.rows * 24)])
    centers = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2) + 0.5
    places = place(scene)
    distance = np.abs(centers[:, None] / scale - places[None, :, :2])
    covered = (distance <= places[None, :, 2:] + _MARGIN).all(-1)
    nearest = np.where(covered, (distance**2).sum(-1), np.inf)
    owner = np.where(covered.any(1), nearest.argmin(1), -1)
    center = np.zeros(height * width, dtype=bool)
    at = np.floor(places[:, :2] * scale).astype(int)
    anchors = at[:, 1] * width + at[:, 0]
    owner[anchors], center[anchors] = np.arange(len(places)), True
    return owner, center


def labels(scene: Scene, height: int, width: int) -> np.ndarray:
    """Return (height * width, 7) classes as in CLASSES; -100 where a label does not apply."""
    owner, center = owners(scene, height, width)
    rows = [
        (KINDS.index(t.kind) + 1, COLORS.index(t.color), int(t.large), TEXTS.index(t.text), t.row, t.column)
        for t in scene.things
    ]
    table = np.array([*rows, (0, -100, -100, -100, -100, -100)])
    return np.concatenate([table[owner], np.where(owner < 0, -100, center)[:, None]], axis=1)


def words(scene: Scene, owner: np.ndarray, center: np.ndarray) -> list[list[str]]:
    """Return for each token the words whose embeddings add up to what it shows; a center has a mark."""
    described = [attributes(t) for t in scene.things]
    return [
        ["<image>", *(described[o] if o >= 0 else []), *(["<|image_pad|>"] if c else [])]
        for o, c in zip(owner.tolist(), center.tolist(), strict=True)
    ]
