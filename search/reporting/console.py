"""Shows a search on the console: what it will do, its progress, its result; a signal stops it gently."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from rich.console import Console

from objectives.options import Stopped, stopping_signals
from search.certifying.certified import table_lines
from search.config import SearchConfig
from search.reporting.presets import certify_command
from search.reporting.progress import ProgressTable
from search.reporting.report import table
from search.reporting.result import Progress, SearchResult
from storage.commands import password_note, shell_command

DASHBOARD = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"
_PIPED_WIDTH = 160


class SearchConsole:
    """The callback of `search.run` on a console; a context manager.

    While trials are measured the first Ctrl-C, SIGTERM or SIGHUP stops the search once the running ones are stored, the
    second at once.

    Attributes:
        signum: the signal that stopped it.
    """

    def __init__(self, stderr: bool = False) -> None:
        terminal = (sys.stderr if stderr else sys.stdout).isatty()
        self._console = Console(soft_wrap=not terminal, width=None if terminal else _PIPED_WIDTH, stderr=stderr)
        self._table: ProgressTable | None = None
        self._latest: Progress | None = None
        self._stopping = False
        self._signals = ExitStack()
        self.signum = signal.SIGINT

    def __enter__(self) -> SearchConsole:
        return self

    def __exit__(self, *error: object) -> None:
        if self._table is not None:
            self._table.__exit__(None, None, None)
            self._table = None
        self._signals.close()

    def __call__(self, progress: Progress) -> None:
        """Show what the search has just done."""
        self._latest = progress
        if progress.message:
            self.print(progress.message)
        if progress.phase == "measuring":
            self._table = ProgressTable(self._console, progress.runs).__enter__()
            self._signals.enter_context(stopping_signals(self._interrupt))
        elif progress.run is not None and self._table is not None:
            self._table.update(progress.run)

    def print(self, line: str) -> None:
        """Print a line as it is."""
        self._console.print(line, markup=False, highlight=False)

    def conclude(self, config: SearchConfig, result: SearchResult) -> None:
        """Print the fronts, the presets and what to do next."""
        for study in result.studies:
            if study.trials:
                self._console.print(table(study, config.goals))
            if study.message and not study.abandoned:
                self.print(study.message)
        for line in table_lines([setting for study in result.studies for setting in study.certified]):
            self.print(line)
        presets = [study.preset for study in result.studies if study.preset is not None]
        for path in presets:
            self.print(f"preset: {path}")
        if presets:
            self.print(f"certify them: {certify_command(config, [study.source for study in result.studies])}")
        if result.stopped:
            self.print("stopped early; everything measured is stored; run the same command again to resume")
        app = DASHBOARD.relative_to(Path.cwd()) if DASHBOARD.is_relative_to(Path.cwd()) else DASHBOARD
        self.print(f"dashboard: {shell_command('streamlit', 'run', str(app), '--', '--storage', config.storage)}")
        if note := password_note(config.storage):
            self.print(note)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        if self._stopping or self._latest is None:
            raise Stopped(signum)
        self._stopping, self.signum = True, signal.Signals(signum)
        self._latest.stop()
        if signum == getattr(signal, "SIGHUP", 0) and self._console.is_terminal:  # which may be gone
            self._console.file = Path(os.devnull).open("w")  # noqa: SIM115  # open until the process ends
        self._console.print("stopping: finishing what is running (once more to end at once)")
