"""Where the questions of a study come from, for people and for commands. Pure, no SQL."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class QuestionSource:
    """The source of a study's questions; the study's key says what they are, this says where they were.

    `origin` is for people ("mine.jsonl"), `options` is what a command takes to ask the same questions
    ("--data mine.jsonl --metric anls"), `skipped` are rows of a file that were left out: line and reason.
    """

    origin: str
    options: str
    skipped: tuple[tuple[int, str], ...] = ()

    @property
    def words(self) -> list[str]:
        """The options one by one, as a shell splits them."""
        try:
            return shlex.split(self.options)
        except ValueError:  # no quotation mark may be left open
            return [self.options]
