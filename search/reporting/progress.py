"""Live progress of all pairs: a table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table

from search.studies.study_run import StudyRun
from storage import Trial
from storage.pareto import best_at_half, front

_LINE_EVERY = 10.0


class Progress:
    """Use as a context manager and hand `update` to the driver."""

    def __init__(self, console: Console, pairs: list[StudyRun]) -> None:
        self._console, self._pairs = console, pairs
        self._began = self._spoke = time.monotonic()
        self._already = {pair.study_id: len(pair.trials) for pair in pairs}
        self._live = (
            Live(get_renderable=self._table, console=console, refresh_per_second=2) if console.is_terminal else None
        )

    def __enter__(self) -> Progress:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.__exit__(None, None, None)

    def update(self, pair: StudyRun, trial: Trial) -> None:
        """One more trial is stored: a line at the first of each pair, and then every few seconds."""
        if self._live:
            return
        now = time.monotonic()
        first = len(pair.trials) == self._already[pair.study_id] + 1
        shown = [pair] if first else []
        if now - self._spoke >= _LINE_EVERY:
            self._spoke, shown = now, self._pairs
        for each in shown:
            self._console.print(" ".join(f"{name} {cell}" for name, cell in self._row(each)), soft_wrap=True)

    def _row(self, pair: StudyRun) -> list[tuple[str, str]]:
        best = best_at_half(pair.trials)
        return [
            ("pair", f"{pair.key.model}/{pair.key.questions}"),
            ("trials", f"{len(pair.trials)}/{pair.budget}"),
            ("front", str(len(front(pair.trials)))),
            ("best at <= 50 % FLOPs", "-" if best is None else f"{100 * best:.1f}"),
            ("pruned", str(sum(t.state == "pruned" for t in pair.trials))),
            ("failed", str(sum(t.failed for t in pair.trials))),
            ("left", self._left(pair)),
        ]

    def _table(self) -> Table:
        rows = [self._row(pair) for pair in self._pairs]
        table = Table(*[name for name, _ in rows[0]], box=None, padding=(0, 2, 0, 0))
        for row in rows:
            table.add_row(*[cell for _, cell in row])
        return table

    def _left(self, pair: StudyRun) -> str:
        fresh = len(pair.trials) - self._already[pair.study_id]
        missing = pair.budget - len(pair.trials)
        elapsed = time.monotonic() - self._began
        if pair.done or missing <= 0:
            return "done"
        if not fresh:
            return f"... ({elapsed:.0f} s so far)"
        return f"{elapsed / fresh * missing:.0f} s"


def stopper(stop: Callable[[], None], console: Console) -> Callable[[int, object], None]:
    """A SIGINT handler: the first finishes what is running, the second ends at once."""
    pressed: list[int] = []

    def handle(signum: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(signum)
        console.print("stopping: finishing what is running (once more to end at once)")
        stop()

    return handle
