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
