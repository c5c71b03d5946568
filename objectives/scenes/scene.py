"""The contents of a scene: things on a grid of cells, drawn from a seed, in exactly one split."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "diamond", "moon")
KINDS = (*SHAPES, "letter", "sign")
COLORS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "white")
LETTERS = ("F", "H", "K", "M", "R", "T", "X", "Z")
WORDS = ("bus", "cat", "dog", "exit", "go", "hot", "ice", "map", "box", "pie", "sun", "tax", "up", "van", "wet", "zoo")
SPLITS = ("train", "validation", "test")

# Unequal frequencies and companions give POPE its popular and adversarial distractors.
FREQUENCY = np.array([1.6, 1.4, 1.2, 1.0, 0.8, 0.8, 0.6, 0.6, 1.0, 1.6])
COMPANION = {"circle": "ring", "square": "diamond", "triangle": "moon", "star": "cross"}
_COMPANION_RATE = 0.35
_GRIDS = ((4, 4), (4, 4), (4, 4), (4, 5), (5, 4))
_BUCKETS = {"validation": (0, 1), "test": (2, 3), "train": tuple(range(4, 16))}


@dataclass(frozen=True)
class Thing:
    """One object: its kind, color and size, and its cell (row and column, from 0)."""

    kind: str
    color: str
    large: bool
    row: int
    column: int
    text: str = ""

    @property
    def size(self) -> str:
        return "large" if self.large else "small"


@dataclass(frozen=True)
class Scene:
    """Things in raster order on a grid of `rows` x `columns` cells; `seed` determines jitter and texture."""

    split: str
    index: int
    rows: int
    columns: int
    things: tuple[Thing, ...]
    seed: int

    @property
    def key(self) -> str:
        return f"{self.split}-{self.index}"

    def count(self, *, kind: str | None = None, color: str | None = None) -> int:
        """Return the number of things with this kind and color."""
        return len(self.having(kind=kind, color=color))

    def having(self, *, kind: str | None = None, color: str | None = None) -> list[Thing]:
        """Return the things with this kind and color; None fits all."""
        return [t for t in self.things if kind in (None, t.kind) and color in (None, t.color)]


def make_scene(split: str, index: int) -> Scene:
    """Return scene `index` of `split`, the same on every machine.

    Scenes are drawn until the hash of the contents falls into the split's buckets, so that the contents of a test
    scene appear in no other split, whatever the seeds.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
    rng = np.random.default_rng([SPLITS.index(split), index])
    while True:
        rows, columns = _GRIDS[rng.integers(len(_GRIDS))]
        things = _draw_things(rng, rows, columns)
        contents = repr((rows, columns, things)).encode()
        if zlib.crc32(contents) % 16 in _BUCKETS[split]:
            return Scene(split, index, rows, columns, things, int(rng.integers(2**31)))


def _draw_things(rng: np.random.Generator, rows: int, columns: int) -> tuple[Thing, ...]:
    cells = np.sort(rng.permutation(rows * columns)[: rng.integers(6, 11)])
    kinds: list[str] = []
    for _ in cells:
        companion = COMPANION.get(kinds[-1]) if kinds else None
        if companion and rng.random() < _COMPANION_RATE:
            kinds.append(companion)
        else:
            kinds.append(KINDS[rng.choice(len(KINDS), p=FREQUENCY / FREQUENCY.sum())])
    order = rng.permutation(len(kinds))
    signs = iter(rng.permutation(len(WORDS)))
    letters = iter(rng.permutation(len(LETTERS)))
    things = []
    for cell, kind in zip(cells, (kinds[i] for i in order), strict=True):
        text = ""
        if kind == "sign" and (word := next(signs, None)) is not None:
            text = WORDS[word]
        elif kind == "letter":
            letter = next(letters, None)
            kind, text = ("letter", LETTERS[letter]) if letter is not None else ("circle", "")
        color = COLORS[rng.integers(len(COLORS))]
        large = bool(rng.random() < 0.5) and kind != "sign"
        things.append(Thing(kind, color, large, int(cell) // columns, int(cell) % columns, text))
    return tuple(things)
