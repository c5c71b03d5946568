"""Yes/no answers as POPE reads them."""

from __future__ import annotations


def read_yes_no(answer: str) -> str:
    """The answer as "yes" or "no", by POPE's rule.

    The first sentence counts; commas are dropped; it is "no" if it holds one of the words No, not and no.
    """
    words = answer.split(".", 1)[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"
