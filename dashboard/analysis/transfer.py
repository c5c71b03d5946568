"""What the best setting of one pair costs on another: read off stored trials, never guessed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboard.analysis.study_view import View, suggested
from storage.records import Trial

Pair = tuple[str, str]


@dataclass(frozen=True)
class Cell:
    """A borrowed setting on one pair: the points it gains over that pair's dense model, and its trial."""

    to_dense: float
    trial: Trial


def borrowed(setting: Trial, target: View) -> Cell | None:
    """What `setting` does on `target`; None where that pair has not measured it or its dense model."""
    wanted = setting.config.canonical()
    dense = target.dense
    found = next((t for t in (*target.complete, *target.stopped) if t.config.canonical() == wanted), None)
    return None if dense is None or found is None else Cell(100 * (found.accuracy - dense.accuracy), found)


def transfers(views: Mapping[Pair, View]) -> dict[Pair, dict[Pair, Cell | None]]:
    """For each pair's suggested setting (the cheapest within one point of dense), its cell on every pair."""
    settings = {pair: suggested(view) for pair, view in views.items()}
    return {
        pair: {other: borrowed(setting, view) for other, view in views.items()}
        for pair, setting in settings.items()
        if setting is not None
    }


def settings_of(views: Mapping[Pair, View]) -> Sequence[tuple[Pair, Trial]]:
    """The setting that each pair lends."""
    return [(pair, setting) for pair, view in views.items() if (setting := suggested(view)) is not None]
