"""Progress: plain lines when piped, a table in a terminal, and a handler that stops gently first."""

from __future__ import annotations

import io
import signal

import pytest
from rich.console import Console

from search.reporting import progress
from search.reporting.console import SearchConsole
from search.reporting.progress import ProgressTable
from search.reporting.result import Progress
from search.studies.study_run import StudyRun
from tests.search.reporting.test_report import at, run_of


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(progress, "time", fake)
    return fake


def finish(run: StudyRun, shown: ProgressTable) -> None:
    number = len(run.trials)
    run.trials.append(at(number, 0.3 + number / 100, 0.5 + number / 100))
    shown.update(run)


def test_piped_a_line_at_the_first_trial_of_a_study_and_then_every_ten_seconds(clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=160)
    run, other = run_of([]), run_of([])
    other.study_id = 2
    lines = []
    with ProgressTable(console, [run, other]) as shown:
        for moment, one in ((2, run), (3, run), (4, other), (11, run), (12, run), (30, other)):
            clock.now = 100.0 + moment
            assert isinstance(console.file, io.StringIO)
            before = len(console.file.getvalue().splitlines())
            finish(one, shown)
            lines.append(len(console.file.getvalue().splitlines()) - before)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert lines == [1, 0, 1, 2, 0, 2]
    first = "study tiny/pope trials 1/50 front 1 best at <= 50 % FLOPs 50.0 pruned 0 failed 0 left 98 s"
    assert text.splitlines()[0] == first
    assert "\x1b" not in text


def test_in_a_terminal_a_table_that_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")  # on a dumb terminal nothing can be drawn over
    monkeypatch.delenv("NO_COLOR", raising=False)
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    run = run_of([])
    with ProgressTable(console, [run]) as shown:
        finish(run, shown)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "\x1b[" in text
    assert "best at <= 50 % FLOPs" in text
    assert "tiny/pope" in text
    assert "1/50" in text


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_gently_and_the_second_at_once(
    capsys: pytest.CaptureFixture[str], signum: signal.Signals
) -> None:
    run, calls = run_of([]), list[int]()
    console, before = SearchConsole(), signal.getsignal(signum)
    with console:
        console(Progress("message", [run], lambda: calls.append(1), "starting"))
        assert signal.getsignal(signum) == before
        console(Progress("measuring", [run], lambda: calls.append(1)))
        signal.raise_signal(signum)
        assert (calls, console.signum) == ([1], signum)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signum)
        assert calls == [1]
    assert signal.getsignal(signum) == before
    assert capsys.readouterr().out == "starting\nstopping: finishing what is running (once more to end at once)\n"
