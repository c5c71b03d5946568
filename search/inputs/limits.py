"""How many questions are asked by default, and bounds of the whole numbers that a user may give."""

from __future__ import annotations

from collections.abc import Sequence

from search.errors import UsageError

QUESTIONS, HELD_OUT_QUESTIONS = 120, 500  # of a trial, and of a confirmation or a screening
MARGINS, LEVEL = (0.5, 1.0, 2.0), 5.0  # points that a preset may lose, and the chance of a wrong one in percent
POOL = 2_000  # test questions of a certificate: where no answer changes, they certify a margin of half a point
LEAST_QUESTIONS = 20  # the fewest that a search or a confirmation takes: one answer is already 5 points
_LARGEST = 2**31 - 1  # an integer column of the store holds no more


def check_number(option: str, value: int, least: int, also: str = "") -> None:
    """Raise UsageError unless `value` is from `least` to the largest integer of the store."""
    if not least <= value <= _LARGEST:
        raise UsageError(f"got {option} {value}; expected {also}a whole number from {least} to {_LARGEST}")


def check_certifying(margins: Sequence[float], level: float, pool: int | None) -> None:
    """Raise UsageError unless these say what is to be certified: points, a percentage, a number of questions."""
    if bad := [margin for margin in margins if not 0 < margin < 100] or not margins:
        raise UsageError(f"got --margins {bad}; expected points above 0 and below 100, as in --margins 0.5 1 2")
    if not 0 < level < 50:
        raise UsageError(f"got --level {level:g}; expected a percentage above 0 and below 50")
    if pool is not None:
        check_number("--pool", pool, LEAST_QUESTIONS)
