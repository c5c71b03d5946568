"""What every image token shows: the dense labels that train the vision towers, and their words.

No token shows a whole thing. The one at its center says its form (kind and text), the next ones its look
(color and size), and so on as on a checkerboard; all say its cell. So the decoder has to bind the halves
before it can answer: with whole things in every token, text reads all it needs in the first layer, and
pruning is free.
"""

from __future__ import annotations

import numpy as np

from minis.text import attributes, form, look
from objectives.scenes import COLORS, KINDS, LETTERS, WORDS, Scene, place

TEXTS = ("", *LETTERS, *WORDS)
# Classes of each label: kind (0 is background), color, size, text, row, column, center of its thing. The last
# class of the first four means "not said here".
CLASSES = (len(KINDS) + 2, len(COLORS) + 1, 3, len(TEXTS) + 1, 5, 5, 2)
LOOK, FORM, ALL = 0, 1, 2
_MARGIN = 2.5


def owners(scene: Scene, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """For a grid of `height` x `width` tokens: the thing that each shows (-1: none), and whether it is the
    token that holds the thing's center. Both (height * width,)."""
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


def halves(owner: np.ndarray, center: np.ndarray, width: int) -> np.ndarray:
    """(tokens,) whether a token tells the FORM of its thing, as the center does, or else its LOOK, as the
    center's neighbors do."""
    row, column = np.divmod(np.arange(len(owner)), width)
    parity = (row + column) % 2
    of_center = np.zeros(owner.max() + 1, dtype=int)
    of_center[owner[center]] = parity[center]
    return np.where((owner >= 0) & (parity == of_center[owner]), FORM, LOOK)


def labels(scene: Scene, height: int, width: int) -> np.ndarray:
    """(height * width, 7) classes as in CLASSES; -100 where a label does not apply."""
    owner, center = owners(scene, height, width)
    rows = [
        (KINDS.index(t.kind) + 1, COLORS.index(t.color), int(t.large), TEXTS.index(t.text), t.row, t.column)
        for t in scene.things
    ]
    table = np.array([*rows, (0, -100, -100, -100, -100, -100)])
    wanted = np.concatenate([table[owner], np.where(owner < 0, -100, center)[:, None]], axis=1)
    covered, form = owner >= 0, halves(owner, center, width) == FORM
    for column, said in ((0, form), (1, ~form), (2, ~form), (3, form)):
        wanted[covered & ~said, column] = CLASSES[column] - 1
    return wanted


def words(scene: Scene, owner: np.ndarray, center: np.ndarray, said: np.ndarray) -> list[list[str]]:
    """For each token the words whose embeddings add up to what it shows; a center is marked.

    `said` (tokens,) is what a token tells of its thing: LOOK, FORM or ALL.
    """
    told = [(look(t), form(t), attributes(t)) for t in scene.things]
    return [
        ["<image>", *(told[o][s] if o >= 0 else []), *(["<|image_pad|>"] if c else [])]
        for o, c, s in zip(owner.tolist(), center.tolist(), said.tolist(), strict=True)
    ]
