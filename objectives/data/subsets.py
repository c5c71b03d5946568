"""Validation and test subsets of questions: the same on every machine, nested, with groups in one piece."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from itertools import groupby

from objectives.benchmarks.base import Question

SPLITS = ("validation", "test")
_SINGLE = ", one per image"
VALIDATION_SINGLE, TEST_SINGLE = (f"{split}{_SINGLE}" for split in SPLITS)  # no two of these share an image
TEST_UNITS = "test, by image"  # all of them, those that share an image side by side


def without_single(split: str) -> str:
    """Return the split that one with a single question per image is a part of."""
    return split.removesuffix(_SINGLE)


def whole_groups(questions: Iterable[Question], n: int) -> list[Question]:
    """Return the first `n` questions without the group that would be cut in two, but at least the first group."""
    if n < 1:
        raise ValueError(f"got a subset of {n} questions; expected at least 1")
    kept: list[Question] = []
    for _, group in groupby(questions, key=lambda q: q.group or q.id):
        unit = list(group)
        if kept and len(kept) + len(unit) > n:
            break
        kept += unit
        if len(kept) >= n:
            break
    return kept


def splits_of(questions: Sequence[Question]) -> list[str]:
    """Return the split of each question, by a hash of its shared image, so that no image is in two splits."""
    return [SPLITS[_hash("split", name) % 2] for name in shared_images(questions)]


def shared_images(questions: Sequence[Question]) -> list[str]:
    """Return a name for each question, the same for all that share an image, directly or through others.

    It is the least of their images; the question's group or id where it has none.
    """
    least: dict[str, str] = {}

    def root(image: str) -> str:
        while least.setdefault(image, image) != image:
            least[image] = image = least[least[image]]
        return image

    for question in questions:
        first, *others = sorted({root(image) for image in question.images}) or [""]
        least.update(dict.fromkeys(others, first))
    return [root(q.images[0]) if q.images else q.group or q.id for q in questions]


def one_per_image(questions: Sequence[Question]) -> list[Question]:
    """Return one of the questions that share an image, drawn by a hash, so that all are independent; in their order."""
    units: dict[str, list[Question]] = defaultdict(list)
    for question, name in zip(questions, shared_images(questions), strict=True):
        units[name].append(question)
    return [unit[_hash("one", name) % len(unit)] for name, unit in units.items()]


def ordered(questions: Sequence[Question]) -> list[Question]:
    """Order the questions so that the first n of them are balanced by category, for every n.

    Groups stay together. A hash of the question's id orders the groups of a category; the categories are then
    interleaved in proportion to their sizes.
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


def subset(questions: Sequence[Question], split: str, n: int | None, left_out: Container[str] = ()) -> list[Question]:
    """Return the first `n` questions (None: all) of "validation", "test" or "all".

    Args:
        left_out: groups, or ids of questions without one, that do not count; the others keep their order.
    """
    placed = zip(questions, splits_of(questions), strict=True)
    order = ordered([question for question, its in placed if split in ("all", its)])
    chosen = [question for question in order if (question.group or question.id) not in left_out]
    return chosen if n is None or not chosen else whole_groups(chosen, n)


def _hash(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")
