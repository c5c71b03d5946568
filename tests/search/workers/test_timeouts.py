"""Time limits: an hour at first, then by what jobs of the kind took."""

from __future__ import annotations

import pytest

from search.workers import timeouts
from search.workers.timeouts import FIRST, LEAST, TimeLimits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(timeouts.time, "monotonic", lambda: now[0])
    return now


def work(known: TimeLimits, clock: list[float], seconds: float, kind: str = "pope") -> None:
    known.begin(0)
    clock[0] += seconds
    known.end(0, kind)


def test_an_hour_until_five_are_done_then_by_median_and_longest(clock: list[float]) -> None:
    known = TimeLimits()
    for seconds in (1, 1, 1, 2):
        work(known, clock, seconds)
        assert known.of("pope") == FIRST == 3600
    work(known, clock, 1)
    assert known.of("pope") == LEAST == 120
    assert known.of("mme") == 3600
    for _ in range(9):
        work(known, clock, 10)
    assert known.of("pope") == 20 * 10
    work(known, clock, 100)
    assert known.of("pope") == 5 * 100


def test_the_clock_begins_anew_with_each_job(clock: list[float]) -> None:
    known = TimeLimits()
    for _ in range(5):
        work(known, clock, 1)
    clock[0] += 119
    assert not known.exceeded(0, "pope")
    known.end(0, "pope")
    clock[0] += 119
    assert not known.exceeded(0, "pope")
    clock[0] += 600
    assert known.exceeded(0, "pope")
