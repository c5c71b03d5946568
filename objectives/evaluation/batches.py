"""Divide questions into chunks and batches, and batches into halves where memory cannot be allocated."""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from accelerate.utils.memory import should_reduce_batch_size

from objectives.benchmarks import Question
from objectives.data.images import MOST_PIXELS
from objectives.evaluation.features import PromptBatch

BATCH_SIZE = 24  # questions
BATCH_TOKENS = 16_384  # of all prompts of a batch, padded

Result = TypeVar("Result")


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


def fitting(
    order: list[int], prepare: Callable[[list[int]], PromptBatch], pixels: Mapping[int, int]
) -> list[PromptBatch]:
    """Prepare questions as one batch, or halve them until each batch is within the limits and the memory.

    Args:
        pixels: of each question's images together.
    """
    if len(order) == 1:
        return [prepare(order)]
    if sum(pixels[i] for i in order) <= MOST_PIXELS:
        try:
            batch = prepare(order)
            if batch.tensors["input_ids"].numel() <= BATCH_TOKENS:
                return [batch]
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
    return [batch for half in halves(order) for batch in fitting(half, prepare, pixels)]


def halving(
    batches: list[PromptBatch],
    attempt: Callable[[PromptBatch], Result | None],
    prepare: Callable[[list[int]], PromptBatch],
) -> Iterator[tuple[PromptBatch, Result]]:
    """Yield each batch with its result; one without a result is halved, in `batches`, too.

    Args:
        attempt: returns None where a batch needs more memory than there is, see `attempted`.
    """
    ordinal = 0
    while ordinal < len(batches):
        batch = batches[ordinal]
        result = attempt(batch)
        if result is None:
            batches[ordinal : ordinal + 1] = [prepare(half) for half in halves(batch.order)]
        else:
            yield batch, result
            ordinal += 1


def attempted(run: Callable[[PromptBatch], Result], batch: PromptBatch) -> Result | None:
    """Return what `run` makes of a batch, or None where that needs more memory than there is and it can be halved."""
    try:
        return run(batch)
    except (MemoryError, RuntimeError) as error:
        if len(batch.order) == 1 or not out_of_memory(error):
            raise
    return None


def halves(items: Sequence[int]) -> list[list[int]]:
    """Cut `items`, at least two, into two parts."""
    return parts(items, (len(items) + 1) // 2)


def out_of_memory(error: Exception) -> bool:
    """Return whether an error means that memory could not be allocated, on a CPU or a GPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or should_reduce_batch_size(error)


def _bounds(n: int, size: int) -> list[int]:
    count = math.ceil(n / size)
    return [n * i // count for i in range(count + 1)]
