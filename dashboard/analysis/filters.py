"""Which trials a figure shows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dashboard.analysis.study_view import STATES, View
from storage.pareto import front
from storage.records import Trial


@dataclass(frozen=True)
class Filter:
    """What to show; an empty set of criteria or devices stands for all. Baselines are always shown."""

    criteria: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset(STATES)
    least_n: int = 0

    def accepts(self, trial: Trial) -> bool:
        """Return whether this trial is shown."""
        if trial.is_baseline:
            return True
        used = {cut.criterion for cut in trial.config.cuts}
        return (
            trial.state in self.states
            and trial.n >= self.least_n
            and (not self.criteria or bool(used & self.criteria))
            and (not self.devices or trial.device in self.devices)
        )

    def apply(self, view: View) -> View:
        """Return the view of what is shown; its front is that of the trials shown. Failed trials all stay."""
        if self == Filter():
            return view
        complete, pruned = (tuple(filter(self.accepts, trials)) for trials in (view.complete, view.pruned))
        return replace(view, complete=complete, pruned=pruned, front=tuple(front(complete, view.cost.field)))
