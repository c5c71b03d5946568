"""Yes/no answers as POPE reads them."""

from __future__ import annotations


def read_yes_no(answer: str) -> str:
    """"yes" or "no" by POPE's rule: first sentence, commas dropped, "no" if it holds No, not or no."""
    words = answer.split(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"
