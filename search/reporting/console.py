"""Shows a search on the console: what it will do, its progress, its result; Ctrl-C stops it gently."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

from rich.console import Console

from search.config import SearchConfig
from search.inputs.questions import source_options
from search.reporting.progress import ProgressTable
from search.reporting.report import table
from search.reporting.result import Progress, SearchResult

_PIPED_WIDTH = 160


class SearchConsole:
    """The callback of `search.run` on a console; a context manager.

    While trials are measured the first Ctrl-C stops the search once the running ones are stored, the second at once.
    """

    def __init__(self, stderr: bool = False) -> None:
        terminal = (sys.stderr if stderr else sys.stdout).isatty()
        self._console = Console(soft_wrap=not terminal, width=None if terminal else _PIPED_WIDTH, stderr=stderr)
        self._table: ProgressTable | None = None
        self._latest: Progress | None = None
        self._stopping = False
        self._handler: Any = None

    def __enter__(self) -> SearchConsole:
        return self

    def __exit__(self, *error: object) -> None:
        if self._table is not None:
            self._table.__exit__(None, None, None)
            self._table = None
            signal.signal(signal.SIGINT, self._handler)

    def __call__(self, progress: Progress) -> None:
        """Show what the search has just done."""
        self._latest = progress
        if progress.message:
            self.print(progress.message)
        if progress.phase == "measuring":
            self._table = ProgressTable(self._console, progress.runs).__enter__()
            self._handler = signal.signal(signal.SIGINT, self._interrupt)
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
        presets = [study.preset for study in result.studies if study.preset is not None]
        for path in presets:
            self.print(f"preset: {path}")
        if presets:
            line = f"certify them: python -m search.export --storage {config.storage} --model {config.model} "
            self.print((line + source_options([study.source for study in result.studies])).strip())
        if result.stopped:
            self.print("stopped early; everything measured is stored; run the same command again to resume")
        self.print(f"dashboard: streamlit run dashboard/app.py -- --storage {config.storage}")

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        if self._stopping or self._latest is None:
            raise KeyboardInterrupt
        self._stopping = True
        self._console.print("stopping: finishing what is running (once more to end at once)")
        self._latest.stop()
