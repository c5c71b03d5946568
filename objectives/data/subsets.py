"""Validation and test subsets of questions: the same everywhere, nested, with groups in one piece."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

from objectives.benchmarks.base import Question

SPLITS = ("validation", "test")


def whole_groups(questions: Iterable[Question], n: int) -> list[Question]:
    """The first `n` questions, or fewer where the next group of neighbors does not fit whole; but never
    less than the first group."""
    if n < 1:
        raise ValueError(f"got a subset of {n} questions; expected at least 1")
    taken: list[Question] = []
    for _, group in groupby(questions, key=lambda q: q.group or q.id):
        unit = list(group)
        if taken and len(taken) + len(unit) > n:
            break
        taken += unit
        if len(taken) >= n:
            break
    return taken


def split_of(question: Question) -> str:
    """ "validation" or "test" by a hash of the image (of the question itself where it has none), so that an
    image is in one of them only, whatever else the data holds."""
    return SPLITS[_hash("split", question.image or question.group or question.id) % 2]


def ordered(questions: Sequence[Question]) -> list[Question]:
    """All questions in an order of which every beginning is a fair subset.

    Groups stay together. Within a category they are ordered by a hash of the question's id; categories are
    then interleaved in proportion to their sizes.
    """
    units: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        units[question.group or question.id].append(question)
    strata: dict[str, list[list[Question]]] = defaultdict(list)
    for unit in units.values():
        strata[unit[0].category].append(unit)
    placed = []
    for category, members in strata.items():
        members.sort(key=lambda unit: (_hash("order", unit[0].id), unit[0].id))
        placed += [((i + 0.5) / len(members), category, i, unit) for i, unit in enumerate(members)]
    placed.sort(key=lambda entry: entry[:3])
    return [question for *_, unit in placed for question in unit]


def subset(questions: Sequence[Question], split: str, n: int | None) -> list[Question]:
    """The first `n` questions (None: all) of "validation", "test" or "all"."""
    chosen = ordered([q for q in questions if split in ("all", split_of(q))])
    return chosen if n is None or not chosen else whole_groups(chosen, n)


def _hash(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")
