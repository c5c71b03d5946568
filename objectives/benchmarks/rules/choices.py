"""Option letters in answers to multiple-choice questions, as LLaVA's ScienceQA evaluation reads them."""

from __future__ import annotations

import re

from objectives.benchmarks.base import Question


def read_letter(question: Question, answer: str) -> str | None:
    """The letter of "B", "B. ..." or "The answer is B."; None where there is none."""
    letters = [chr(65 + i) for i in range(len(question.choices))]
    text = answer.strip()
    if text in letters:
        return text
    if len(text) >= 3 and text[0] in letters and text[1:3] == ". ":
        return text[0]
    found = re.findall(r"The answer is ([A-Z]).", text)
    return found[0] if len(found) == 1 and found[0] in letters else None


def read_pope(answer: str) -> str:
    """ "yes" or "no" by POPE's rule: first sentence, commas dropped, "no" if it holds No, not or no."""
    words = answer.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def read_mme(answer: str) -> str:
    """ "yes", "no" or "other" by MME's rule: the whole answer in lower case, else one of the two words at the
    start of its first four letters; anything else is wrong for both questions."""
    text = answer.strip().lower()
    if text in ("yes", "no"):
        return text
    start = text[:4]
    if "yes" in start:
        return "yes"
    return "no" if "no" in start else "other"
