"""Questions about embedded scenes, which are generated and rendered on demand, in disjoint splits."""

from __future__ import annotations

import zlib
from functools import lru_cache
from itertools import chain, count, islice

import numpy as np
from PIL import Image

from objectives.benchmarks.base import PublishedBenchmark, Question
from objectives.data.subsets import ONE_PER_IMAGE, one_per_image, whole_groups
from objectives.scenes import Scene, make_scene, render


def scene_questions(benchmark: PublishedBenchmark, scene: Scene) -> list[Question]:
    """Return the questions of `benchmark` about `scene`, the same on every machine."""
    return benchmark.ask(scene, np.random.default_rng([zlib.crc32(benchmark.name.encode()), scene.seed]))


def embedded_questions(benchmark: PublishedBenchmark, split: str, n: int) -> list[Question]:
    """Return the first `n` questions of a split, or of `ONE_PER_IMAGE`; a larger subset begins with the smaller one.

    It is one question fewer where a pair (POPE, MME) would be cut in two, but never less than one pair.
    """
    if split == ONE_PER_IMAGE:
        drawn = (one_per_image(scene_questions(benchmark, make_scene("test", index))) for index in count())
        return list(islice(chain.from_iterable(drawn), n))
    by_scene = (scene_questions(benchmark, make_scene(split, index)) for index in count())
    return whole_groups(chain.from_iterable(by_scene), n)


@lru_cache(maxsize=4096)
def embedded_image(key: str) -> Image.Image:
    """Render the scene that a question's `image` names ("validation-17")."""
    split, _, index = key.rpartition("-")
    return render(make_scene(split, int(index)))
