"""Divide questions into chunks and batches, and batches into halves where memory cannot be allocated."""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Sequence

import torch

from objectives.benchmarks import Question


def chunked(questions: Sequence[Question], size: int) -> list[list[int]]:
    """Return the numbers of all questions, shuffled by a fixed seed, in chunks of about `size`.

    Groups are shuffled, not questions: each is in one chunk and keeps its own order.
    """
    groups: dict[str | int, list[int]] = {}
    for i, question in enumerate(questions):
        groups.setdefault(question.group or i, []).append(i)
    drawn = random.Random(0).sample(list(groups.values()), len(groups))
    bounds = _bounds(len(questions), size)
    chunks: list[list[int]] = [[] for _ in bounds[1:]]
    start = 0
    for group in drawn:
        chunks[bisect.bisect_right(bounds, start) - 1] += group
        start += len(group)
    return [chunk for chunk in chunks if chunk]


def parts(items: Sequence[int], size: int) -> list[list[int]]:
    """Cut `items` into the fewest parts of at most `size`, of almost equal sizes."""
    return [list(items[low:high]) for low, high in itertools.pairwise(_bounds(len(items), size))]


def halves(items: Sequence[int]) -> list[list[int]]:
    """Cut `items`, at least two, into two parts."""
    return parts(items, (len(items) + 1) // 2)


def out_of_memory(error: Exception) -> bool:
    """Return whether an error means that memory could not be allocated, on a CPU or a GPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def _bounds(n: int, size: int) -> list[int]:
    count = math.ceil(n / size)
    return [n * i // count for i in range(count + 1)]
