"""The embedded source of questions: generated scenes, rendered on demand, in disjoint splits."""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
from PIL import Image

from objectives.benchmarks.base import Benchmark, Question
from objectives.scenes import Scene, make_scene, render


def scene_questions(benchmark: Benchmark, scene: Scene) -> list[Question]:
    """What `benchmark` asks about `scene`: the same on every machine."""
    return benchmark.ask(scene, np.random.default_rng([zlib.crc32(benchmark.name.encode()), scene.seed]))


def embedded_questions(benchmark: Benchmark, split: str, n: int) -> list[Question]:
    """The first `n` questions of a split; a larger subset begins with the smaller one."""
    if n < 1:
        raise ValueError(f"got a subset of {n} questions; expected at least 1")
    asked: list[Question] = []
    index = 0
    while len(asked) < n:
        asked += scene_questions(benchmark, make_scene(split, index))
        index += 1
    return asked[:n]


@lru_cache(maxsize=4096)
def embedded_image(key: str) -> Image.Image:
    """The image that a question's `image` names ("validation-17")."""
    split, _, index = key.rpartition("-")
    return render(make_scene(split, int(index)))
