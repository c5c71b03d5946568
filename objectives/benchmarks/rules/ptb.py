"""Tokenize captions as the COCO caption code does: Penn Treebank words in lower case, without punctuation.

The original runs Stanford CoreNLP 3.4.1 on Java. It is used where pycocoevalcap and Java are installed; elsewhere the
rules below give the same tokens on ordinary captions.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from importlib.util import find_spec

_DROPPED = {"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", '"', "“", "”", "‘"}
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_HALVES = {
    "cannot": "can not",
    "gonna": "gon na",
    "gotta": "got ta",
    "wanna": "wan na",
    "lemme": "lem me",
    "gimme": "gim me",
    "'tis": "'t is",
    "'twas": "'t was",
    "y'all": "y' all",
}
_SHORTENED = (
    "mr|mrs|ms|dr|st|ave|blvd|rd|jr|sr|vs|etc|ca|fig|ft|bldg|prof|gen|col|sgt|capt|lt|rev|hon|inc|co|corp"
    "|ltd|bros|jan|feb|mar|apr|aug|sep|sept|oct|nov|dec"
)
_TOKEN = re.compile(
    rf"""
      (?<![\w'])(?:[a-z]\.)+(?!\w) | \b(?:{_SHORTENED})\. | \bno\.(?=\s*\d)   # u.s., mr., no. 5
    | '(?:tis|twas|n'|\d0s)(?!\w) | \by'all\b | \b[a-z0-9]*n't\b | '(?:s|re|ve|ll|d|m)\b
    | (?<!\S)-\d+(?:[.,]\d+)* | \d+[ ]\d+/\d+ | \d+(?:[:.,/]\d+)+ | \.\d+   # -5, 22 3/4, 1,000, 10:30
    | @\w+ | (?:[^\W_]|[_&](?=\w))+
        (?:[-/&.@](?=\w)(?:[^\W_]|_(?=\w))+ | '(?!(?:s|re|ve|ll|d|m|t)\b)(?=[a-z])[^\W_]+)*
    | \.{{2,}} | -{{2,}} | [?!]+ | \S
    """,
    re.VERBOSE,
)
_NOT = re.compile(r"([a-z0-9]+)(n't)")


def tokenizer_in_use() -> str:
    """Return the tokenizer of this machine: "Stanford PTB (Java)" or "built-in PTB"."""
    return "Stanford PTB (Java)" if _has_java() else "built-in PTB"


def tokenize(captions: Sequence[str]) -> list[str]:
    """Return each caption's tokens with spaces between them."""
    return _by_java(captions) if _has_java() else [built_in(caption) for caption in captions]


def built_in(caption: str) -> str:
    """Return the tokens of one caption by the rules of this module."""
    words: list[str] = []
    for token in _TOKEN.findall(caption.lower().replace("’", "'")):
        if split := _NOT.fullmatch(token):
            words += split.groups()
        elif not token.startswith(".."):
            words += [token.replace(" ", "\u00a0")] if " " in token else _HALVES.get(token, token).split()
    return " ".join(_BRACKETS.get(word, word) for word in words if word not in _DROPPED)


def _has_java() -> bool:
    return shutil.which("java") is not None and find_spec("pycocoevalcap") is not None


def _by_java(captions: Sequence[str]) -> list[str]:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokens = PTBTokenizer().tokenize({i: [{"caption": caption}] for i, caption in enumerate(captions)})
    return [tokens[i][0] for i in range(len(captions))]
