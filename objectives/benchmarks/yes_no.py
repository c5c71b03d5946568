"""Yes/no answers, as POPE and as MME read them."""

from __future__ import annotations


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
