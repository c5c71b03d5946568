"""How the official evaluations of ScienceQA (LLaVA's), POPE and MME read an answer."""

from __future__ import annotations

import re

from objectives.benchmarks.base import Question


def read_letter(question: Question, answer: str) -> str | None:
    """Return the letter of "B", "B. ..." or "The answer is B."; None where there is none."""
    letters = [chr(65 + i) for i in range(len(question.choices))]
    text = answer.strip()
    if text in letters:
        return text
    if len(text) >= 3 and text[0] in letters and text[1:3] == ". ":
        return text[0]
    matches = re.findall(r"The answer is ([A-Z]).", text)
    return matches[0] if len(matches) == 1 and matches[0] in letters else None


def read_pope(answer: str) -> str:
    """Return "yes" or "no" by POPE's rule: first sentence, commas dropped, "no" if it holds No, not or no."""
    words = answer.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def read_mme(answer: str) -> str:
    """Return "yes", "no" or "other" by MME's rule: the whole answer, or one of the words in its first four letters."""
    text = answer.strip().lower()
    if text in ("yes", "no"):
        return text
    start = text[:4]
    if "yes" in start:
        return "yes"
    return "no" if "no" in start else "other"
