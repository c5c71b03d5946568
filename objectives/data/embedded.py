"""Questions about embedded scenes, which are generated and rendered on demand, in disjoint splits."""

from __future__ import annotations

import zlib
from functools import lru_cache
from itertools import chain, count, islice

import numpy as np
from PIL import Image

from objectives.benchmarks.base import PublishedBenchmark, Question
from objectives.data.subsets import one_per_image, whole_groups, without_single
from objectives.scenes import Scene, make_scene, render


def scene_questions(benchmark: PublishedBenchmark, scene: Scene) -> list[Question]:
    """Return the questions of `benchmark` about `scene`, the same on every machine."""
    return benchmark.ask(scene, np.random.default_rng([zlib.crc32(benchmark.name.encode()), scene.seed]))


def embedded_questions(benchmark: PublishedBenchmark, split: str, n: int) -> list[Question]:
    """Return the first `n` questions of a split; a larger subset begins with the smaller one.

    It is one question fewer where a pair (POPE, MME) would be cut in two, but never less than one pair.
    """
    by_scene = (scene_questions(benchmark, make_scene(without_single(split), index)) for index in count())
    if without_single(split) != split:
        return list(islice(chain.from_iterable(map(one_per_image, by_scene)), n))
    return whole_groups(chain.from_iterable(by_scene), n)


@lru_cache(maxsize=4096)
def embedded_image(key: str) -> Image.Image:
    """Render the scene that a question's `image` names ("validation-17")."""
    split, _, index = key.rpartition("-")
    return render(make_scene(split, int(index)))
