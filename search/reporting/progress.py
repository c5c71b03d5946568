"""Live progress of all studies: a table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from search.studies.study_run import StudyRun
from storage.pareto import best_at_half, front

_LINE_EVERY = 10.0  # seconds


class ProgressTable:
    """Shows how far studies are, while it is entered."""

    def __init__(self, console: Console, runs: Sequence[StudyRun]) -> None:
        self._console, self._runs = console, runs
        self._start = self._printed = time.monotonic()
        self._stored = {run.study_id: len(run.trials) for run in runs}
        self._live = (
            Live(get_renderable=self._table, console=console, refresh_per_second=2) if console.is_terminal else None
        )

    def __enter__(self) -> ProgressTable:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.__exit__(None, None, None)

    def update(self, run: StudyRun) -> None:
        """Show a stored trial; print a line at the first of each study, and then every few seconds."""
        if self._live:
            return
        now = time.monotonic()
        first = len(run.trials) == self._stored[run.study_id] + 1
        lines: Sequence[StudyRun] = [run] if first else []
        if now - self._printed >= _LINE_EVERY:
            self._printed, lines = now, self._runs
        for shown in lines:
            self._console.print(" ".join(f"{name} {cell}" for name, cell in self._row(shown)), soft_wrap=True)

    def _row(self, run: StudyRun) -> list[tuple[str, str]]:
        best = best_at_half(run.trials)
        return [
            ("study", f"{run.key.model}/{run.key.questions}"),
            ("trials", f"{len(run.trials)}/{run.budget}"),
            ("front", str(len(front(run.trials)))),
            ("best at <= 50 % FLOPs", "-" if best is None else f"{100 * best:.1f}"),
            ("pruned", str(sum(t.state == "pruned" for t in run.trials))),
            ("failed", str(sum(t.failed for t in run.trials))),
            ("left", self._left(run)),
        ]

    def _table(self) -> Table:
        rows = [self._row(run) for run in self._runs]
        table = Table(*[name for name, _ in rows[0]], box=None, padding=(0, 2, 0, 0))
        for row in rows:
            table.add_row(*[cell for _, cell in row])
        return table

    def _left(self, run: StudyRun) -> str:
        new = len(run.trials) - self._stored[run.study_id]
        missing = run.budget - len(run.trials)
        elapsed = time.monotonic() - self._start
        if run.done or missing <= 0:
            return "done"
        if not new:
            return f"... ({elapsed:.0f} s so far)"
        return f"{elapsed / new * missing:.0f} s"
