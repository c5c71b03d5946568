"""Bounds of the whole numbers that a user may give."""

from __future__ import annotations

from search.errors import UsageError

LEAST_QUESTIONS = 20  # the fewest that a search or a confirmation takes: one answer is already 5 points
_LARGEST = 2**31 - 1  # an integer column of the store holds no more


def check_number(option: str, value: int, least: int, also: str = "") -> None:
    """Raise UsageError unless `value` is from `least` to the largest integer of the store."""
    if not least <= value <= _LARGEST:
        raise UsageError(f"got {option} {value}; expected {also}a whole number from {least} to {_LARGEST}")
