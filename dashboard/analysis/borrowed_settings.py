"""What the suggested configuration of one study does in another, where that one has measured it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.analysis.study_view import Pair, View, canonical, suggested
from storage.records import Trial


@dataclass(frozen=True)
class Borrowed:
    """A trial of a borrowed configuration, and the points it gains over that study's dense model."""

    points: float
    trial: Trial


def borrowed(config_of: Trial, view: View) -> Borrowed | None:
    """Return what a trial's configuration does in a study; None where it, or dense, is not measured there."""
    wanted, dense = canonical(config_of.config), view.dense
    trial = next((t for t in (*view.complete, *view.pruned) if canonical(t.config) == wanted), None)
    return None if dense is None or trial is None else Borrowed(100 * (trial.accuracy - dense.accuracy), trial)


def lent(views: Mapping[Pair, View]) -> dict[Pair, Trial]:
    """Return the trial whose configuration each study lends: its cheapest within one point of dense."""
    return {pair: trial for pair, view in views.items() if (trial := suggested(view)) is not None}


def borrowed_everywhere(views: Mapping[Pair, View]) -> dict[Pair, dict[Pair, Borrowed | None]]:
    """Return, for the configuration that each study lends, what it does in every study."""
    return {
        pair: {other: borrowed(trial, view) for other, view in views.items()} for pair, trial in lent(views).items()
    }
