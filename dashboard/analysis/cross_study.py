"""What the suggested configuration of one study does in other studies that have measured it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.analysis.study_view import Pair, View, canonical, suggested
from storage.records import Trial


@dataclass(frozen=True)
class CrossResult:
    """A study's trial of another study's configuration, and the points it gains over the study's dense model."""

    points: float
    trial: Trial


def cross_result(origin: Trial, view: View) -> CrossResult | None:
    """Return what a trial's configuration does in a study; None where it, or dense, is not measured there."""
    wanted, dense = canonical(origin.config), view.dense
    trial = next((t for t in (*view.complete, *view.pruned) if canonical(t.config) == wanted), None)
    return None if dense is None or trial is None else CrossResult(100 * (trial.accuracy - dense.accuracy), trial)


def suggestions(views: Mapping[Pair, View]) -> dict[Pair, Trial]:
    """Return the suggested trial of each study: the cheapest within one point of dense."""
    return {pair: trial for pair, view in views.items() if (trial := suggested(view)) is not None}


def cross_results(views: Mapping[Pair, View]) -> dict[Pair, dict[Pair, CrossResult | None]]:
    """Return what the suggested configuration of each study does in every study."""
    trials = suggestions(views)
    return {pair: {other: cross_result(trials[pair], view) for other, view in views.items()} for pair in trials}
