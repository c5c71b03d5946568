"""Progress: plain lines when piped, a table in a terminal, and a handler that stops gently first."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from search.reporting import progress
from search.reporting.progress import Progress, stopper
from search.studies.study_run import StudyRun
from tests.search.reporting.test_report import at, run_of


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def finish(pair: StudyRun, shown: Progress) -> None:
    number = len(pair.trials)
    pair.trials.append(at(number, 0.3 + number / 100, 0.5 + number / 100))
    shown.update(pair, pair.trials[-1])


def test_piped_a_line_at_the_first_trial_of_a_pair_and_then_every_ten_seconds(clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=160)
    pair, other = run_of([]), run_of([])
    other.study_id = 2
    said = []
    with Progress(console, [pair, other]) as shown:
        for moment, each in ((2, pair), (3, pair), (4, other), (11, pair), (12, pair), (30, other)):
            clock.now = 100.0 + moment
            assert isinstance(console.file, io.StringIO)
            before = len(console.file.getvalue().splitlines())
            finish(each, shown)
            said.append(len(console.file.getvalue().splitlines()) - before)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert said == [1, 0, 1, 2, 0, 2]
    first = "pair tiny/pope trials 1/50 front 1 best at <= 50 % FLOPs 50.0 pruned 0 failed 0 left 98 s"
    assert text.splitlines()[0] == first
    assert "\x1b" not in text


def test_in_a_terminal_a_table_that_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")  # on a dumb terminal nothing can be drawn over
    monkeypatch.delenv("NO_COLOR", raising=False)
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    pair = run_of([])
    with Progress(console, [pair]) as shown:
        finish(pair, shown)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "\x1b[" in text
    assert "best at <= 50 % FLOPs" in text
    assert "tiny/pope" in text
    assert "1/50" in text


def test_the_first_interrupt_stops_gently_and_the_second_at_once() -> None:
    console, calls = Console(file=io.StringIO()), []
    handle = stopper(lambda: calls.append(1), console)
    handle(2, None)
    assert calls == [1]
    with pytest.raises(KeyboardInterrupt):
        handle(2, None)
    assert calls == [1]
