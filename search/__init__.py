"""The search for pruning settings.

from search import SearchConfig, run
result = run(SearchConfig(model="qwenvl", budget=200))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.config import SearchConfig
    from search.reporting.result import Progress, SearchResult, StudyResult
    from search.running.launch_run import run

_MODULES = {
    "Progress": "search.reporting.result",
    "SearchConfig": "search.config",
    "SearchResult": "search.reporting.result",
    "StudyResult": "search.reporting.result",
    "run": "search.running.launch_run",
}

__all__ = ["Progress", "SearchConfig", "SearchResult", "StudyResult", "run"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: torch and Ray take seconds."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
