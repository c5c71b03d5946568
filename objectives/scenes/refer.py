"""Phrases that refer to exactly one thing of a scene, for the question templates of the benchmarks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from objectives.scenes import Scene, Thing


def unique(things: Iterable[Thing], phrase: Callable[[Thing], str]) -> list[tuple[str, Thing]]:
    """Return the pairs (phrase, thing) whose phrase fits exactly one of `things`."""
    named = [(phrase(t), t) for t in things]
    seen = Counter(name for name, _ in named)
    return [(name, t) for name, t in named if seen[name] == 1]


def by_kind(scene: Scene) -> list[tuple[str, Thing]]:
    """Return the things that their kind alone identifies: "star"."""
    return unique(scene.things, lambda t: t.kind)


def by_color(scene: Scene) -> list[tuple[str, Thing]]:
    """Return the things that their color alone identifies: "red object"."""
    return unique(scene.things, lambda t: f"{t.color} object")


def plural(kind: str) -> str:
    """Return the plural of a kind."""
    return "crosses" if kind == "cross" else f"{kind}s"


def choices(rng: np.random.Generator, answer: str, others: Iterable[str], count: int) -> tuple[tuple[str, ...], str]:
    """Return `count` shuffled options, one of them `answer`, and the letter of the answer."""
    pool = [other for other in others if other != answer]
    options = [answer, *(pool[i] for i in rng.permutation(len(pool))[: count - 1])]
    order = rng.permutation(len(options))
    shuffled = tuple(options[i] for i in order)
    return shuffled, chr(65 + shuffled.index(answer))
