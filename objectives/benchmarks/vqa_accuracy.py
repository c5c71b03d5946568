"""VQA accuracy: an answer is right as far as at least three of ten annotators gave it.

Source: Antol et al., VQA (ICCV 2015), and the evaluation code of visualqa.org. TextVQA's differs in that it
normalizes always, and by the EvalAI processor.
"""

from __future__ import annotations

from collections.abc import Sequence

from objectives.benchmarks.vqa_text import evalai, one_line, without_articles, without_punctuation


def leave_one_out(given: str, annotations: Sequence[str]) -> float:
    """Mean over annotators left out one at a time of min(1, matches among the others / 3)."""
    matches = [annotation == given for annotation in annotations]
    total = sum(matches)
    return sum(min(1.0, (total - match) / 3) for match in matches) / len(matches)


def vqa_accuracy(answer: str, annotations: Sequence[str]) -> float:
    """VQAv2's rule. Both sides are normalized only where annotators differ; where all ten agree, the answer
    must be theirs letter for letter, as in the official code (lmms-eval normalizes there too)."""
    given, said = one_line(answer), [one_line(annotation) for annotation in annotations]
    if len(set(said)) > 1:
        given, *said = (without_articles(without_punctuation(text)) for text in (given, *said))
    return leave_one_out(given, said)


def textvqa_accuracy(answer: str, annotations: Sequence[str]) -> float:
    """TextVQA's rule: the EvalAI processor on both sides, whether or not annotators agree."""
    return leave_one_out(evalai(answer), [evalai(annotation) for annotation in annotations])
