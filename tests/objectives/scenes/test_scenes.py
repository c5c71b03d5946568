"""Scenes: from a seed, in one split only, drawn where they say."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from objectives.benchmarks import BENCHMARKS, benchmark
from objectives.data.embedded import embedded_image, embedded_questions
from objectives.errors import UnknownBenchmarkError
from objectives.scenes import COLORS, KINDS, LETTERS, SPLITS, WORDS, Scene, make_scene, place, render
from objectives.scenes.render import CELL
from tests.objectives.benchmark_conformance import scene

MANY = 300
ROOT = Path(__file__).resolve().parents[3]


def scenes(split: str, n: int = MANY) -> list[Scene]:
    return [scene(split, i) for i in range(n)]


def test_a_scene_is_its_seed() -> None:
    assert [make_scene("test", i) for i in range(20)] == scenes("test", 20)
    assert [render(make_scene("test", i)).tobytes() for i in range(3)] == [
        render(s).tobytes() for s in scenes("test", 3)
    ]


def test_a_scene_is_the_same_in_another_process() -> None:
    """Held against string hashing, which differs from process to process."""
    ask = "from objectives.scenes import *\nfor i in range(5): s = make_scene('train', i); "
    ask += "import zlib; print(repr(s), zlib.crc32(render(s).tobytes()))"
    run = [sys.executable, "-c", ask]
    lines = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines()
    assert lines == [f"{s!r} {zlib.crc32(render(s).tobytes())}" for s in scenes("train", 5)]


def test_splits_share_no_contents() -> None:
    contents = {split: {(s.rows, s.columns, s.things) for s in scenes(split)} for split in SPLITS}
    assert all(len(result) == MANY for result in contents.values())
    assert len(set.union(*contents.values())) == MANY * len(SPLITS)


def test_splits_are_disjoint_by_rule_and_not_by_luck() -> None:
    """Each split owns the contents with certain hashes, whatever the index."""
    buckets = {
        split: {zlib.crc32(repr((s.rows, s.columns, s.things)).encode()) % 16 for s in scenes(split)}
        for split in SPLITS
    }
    assert buckets["validation"] == {0, 1} and buckets["test"] == {2, 3}
    assert buckets["train"] == set(range(4, 16))


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_in_a_scene(split: str) -> None:
    for s in scenes(split):
        cells = [(t.row, t.column) for t in s.things]
        assert cells == sorted(set(cells)), "raster order, one thing a cell"
        assert 6 <= len(cells) <= 10
        assert all(0 <= row < s.rows and 0 <= column < s.columns for row, column in cells)
        assert (s.rows, s.columns) in {(4, 4), (4, 5), (5, 4)}
        for kind, texts in (("sign", WORDS), ("letter", LETTERS)):
            words = [t.text for t in s.having(kind=kind)]
            assert len(set(words)) == len(words) and set(words) <= set(texts)
        assert all(not t.text for t in s.things if t.kind not in ("sign", "letter"))
        assert not any(t.large for t in s.having(kind="sign"))


def test_every_kind_color_and_text_is_seen() -> None:
    things = [t for s in scenes("train") for t in s.things]
    assert {t.kind for t in things} == set(KINDS)
    assert {t.color for t in things} == set(COLORS)
    assert {t.text for t in things} == {"", *WORDS, *LETTERS}
    assert 0.4 < np.mean([t.large for t in things if t.kind != "sign"]) < 0.6


def test_companions_come_together_more_often_than_chance() -> None:
    """POPE's adversarial distractors rest on it: a ring is likelier where a circle is."""
    there = Counter((s.count(kind="circle") > 0, s.count(kind="ring") > 0) for s in scenes("train"))
    with_circle = there[True, True] / (there[True, True] + there[True, False])
    without = there[False, True] / (there[False, True] + there[False, False])
    assert with_circle > without + 0.1


def test_counting_by_kind_and_color() -> None:
    s = scene("train", 0)
    assert s.count() == len(s.things)
    assert sum(s.count(kind=kind) for kind in KINDS) == len(s.things)
    assert sum(s.count(color=color) for color in COLORS) == len(s.things)
    first = s.things[0]
    assert first in s.having(kind=first.kind, color=first.color)


def test_an_unknown_split_says_which_there_are() -> None:
    with pytest.raises(ValueError, match="unknown split 'dev'; expected one of train, validation, test"):
        make_scene("dev", 0)


@pytest.mark.parametrize("split", SPLITS)
def test_things_lie_in_the_image_and_in_their_cells(split: str) -> None:
    for s in scenes(split):
        places = place(s)
        x, y, half_width, half_height = places.T
        assert places.shape == (len(s.things), 4)
        assert (x - half_width >= 0).all() and (x + half_width <= s.columns * CELL).all()
        assert (y - half_height >= 0).all() and (y + half_height <= s.rows * CELL).all()
        assert [(int(row), int(column)) for row, column in zip(y // CELL, x // CELL, strict=True)] == [
            (t.row, t.column) for t in s.things
        ]


def test_images_have_the_size_of_their_grid() -> None:
    seen = {}
    for s in scenes("validation", 40):
        image = render(s)
        assert image.mode == "RGB"
        seen[s.rows, s.columns] = image.size
    assert seen == {(4, 4): (96, 96), (4, 5): (120, 96), (5, 4): (96, 120)}


def test_things_are_painted_in_their_color() -> None:
    """At the center of a filled shape the color named is the nearest; the background is none of them."""
    from objectives.scenes.render import _RGB

    names, table = list(_RGB), np.array(list(_RGB.values()))
    checked = 0
    for s in scenes("train", 40):
        pixels = np.asarray(render(s), dtype=float)
        for thing, (x, y, _, _) in zip(s.things, place(s), strict=True):
            if thing.kind in ("circle", "square", "triangle", "star", "cross", "diamond"):
                distance = ((table - pixels[int(y), int(x)]) ** 2).sum(1)
                assert names[int(distance.argmin())] == thing.color
                checked += 1
    assert checked > 100


def test_the_image_of_a_question_is_its_scene_drawn() -> None:
    assert embedded_image("validation-3").tobytes() == render(scene("validation", 3)).tobytes()


def test_a_benchmark_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UnknownBenchmarkError, match="unknown benchmark 'vqa'; expected one of vqav2, "):
        benchmark("vqa")


def test_a_subset_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="got a subset of 0 questions"):
        embedded_questions(BENCHMARKS["pope"], "test", 0)
