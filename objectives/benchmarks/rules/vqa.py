"""Normalize and compare answers as VQA evaluations do.

Sources: `vqaEval.py` of the VQA evaluation code (GT-Vision-Lab/VQA), and Pythia's `EvalAIAnswerProcessor`,
which TextVQA's challenge and LLaVA use: the same two steps after lower case and without "," and "?".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ARTICLES = {"a", "an", "the"}
_NUMBER_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBER_WORDS)}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_PERIODS_AT_MOST = 32  # the original hands re.UNICODE, which is 32, to sub() as its count
_WITH_APOSTROPHES = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
    he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't
    must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've
    somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's something'd
    something'd've something'll that's there'd there'd've there're there's they'd they'd've they'll they're
    they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's where'd where's where've
    who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll
    y'all'd've you'd you'd've you'll you're you've
"""


def _contractions() -> dict[str, str]:
    """Map spellings that lack one apostrophe to contractions; the entry "somebody'd" is an error of the original."""
    repaired = {"somebody'd": "somebodyd"}
    for word in _WITH_APOSTROPHES.split():
        repaired |= {word[: i.start()] + word[i.end() :]: word for i in re.finditer("'", word)}
    return repaired


_CONTRACTIONS = _contractions()


def without_punctuation(text: str) -> str:
    """Drop marks beside a space, all marks where a number is like 1,000, and most periods; others become a space."""
    thousands = re.search(r"\d,\d", text) is not None
    cleaned = text
    for mark in _PUNCTUATION:
        drop = thousands or f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if drop else " ")
    return re.sub(r"\.(?!\d)", "", cleaned, count=_PERIODS_AT_MOST)


def without_articles(text: str) -> str:
    """Return lower case with digits for number words, without articles, with apostrophes in contractions."""
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def one_line(text: str) -> str:
    """Replace line breaks and tabs by spaces."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def evalai(text: str) -> str:
    """Apply the EvalAI answer processor."""
    lowered = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return without_articles(without_punctuation(one_line(lowered)))


def leave_one_out(given: str, annotations: Sequence[str]) -> float:
    """Return the mean of min(1, matches / 3) over all ways to leave one annotator out."""
    matches = [annotation == given for annotation in annotations]
    total = sum(matches)
    return sum(min(1.0, (total - match) / 3) for match in matches) / len(matches)


def vqa_accuracy(answer: str, annotations: Sequence[str]) -> float:
    """Return the score by VQAv2's rule.

    Texts are normalized only where annotators differ. Where all ten agree, the answer must equal theirs letter for
    letter, as in the official code (lmms-eval normalizes there too).
    """
    given, truths = one_line(answer), [one_line(annotation) for annotation in annotations]
    if len(set(truths)) > 1:
        given, *truths = (without_articles(without_punctuation(text)) for text in (given, *truths))
    return leave_one_out(given, truths)


def textvqa_accuracy(answer: str, annotations: Sequence[str]) -> float:
    """Return the score by TextVQA's rule: the EvalAI processor on both sides, whether or not annotators agree."""
    return leave_one_out(evalai(answer), [evalai(annotation) for annotation in annotations])
