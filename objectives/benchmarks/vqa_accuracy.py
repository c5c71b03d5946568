"""VQA accuracy: an answer is right as far as at least three of ten annotators gave it.

Source: Antol et al., VQA (ICCV 2015), evaluation code of visualqa.org.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ARTICLES = {"a", "an", "the"}
_NUMBERS = {"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
            "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10"}  # fmt: skip


def normalize(answer: str) -> str:
    """Lower case, digits for number words, without articles or punctuation."""
    text = answer.replace("\n", " ").replace("\t", " ").strip().lower()
    text = re.sub(r"(?<!\d)\.(?!\d)", "", text)
    text = re.sub(r"[;/\[\]\"{}()=+\\_<>@`,?!-]", " ", text)
    return " ".join(_NUMBERS.get(word, word) for word in text.split() if word not in _ARTICLES)


def vqa_accuracy(answer: str, annotations: Sequence[str]) -> float:
    """Mean over annotators left out one at a time of min(1, matches among the others / 3)."""
    given = normalize(answer)
    matches = [normalize(annotation) == given for annotation in annotations]
    total = sum(matches)
    return sum(min(1.0, (total - match) / 3) for match in matches) / len(matches)
