"""Which trials a figure shows. Pure: the choice is an object, applying it a function."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dashboard.analysis.study_view import LANDMARKS, STATES
from storage.records import Trial


@dataclass(frozen=True)
class Filter:
    """What to show; an empty set of criteria or devices stands for all. Landmarks are always shown."""

    criteria: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset(STATES)
    least_n: int = 0

    @property
    def narrow(self) -> bool:
        """Whether anything is left out."""
        return self != Filter()

    def takes(self, trial: Trial) -> bool:
        """Whether this trial is shown. A failed one is never filtered: it is listed, not drawn."""
        if trial.failed or trial.origin in LANDMARKS:
            return True
        used = {
            name
            for name, rate in ((trial.config.phi_shallow, trial.config.r1), (trial.config.phi_deep, trial.config.r2))
            if rate > 0
        }
        return (
            trial.state in self.states
            and trial.n >= self.least_n
            and (not self.criteria or bool(used & self.criteria))
            and (not self.devices or trial.device in self.devices)
        )

    def apply(self, trials: Iterable[Trial]) -> list[Trial]:
        """The trials that are shown."""
        return [trial for trial in trials if self.takes(trial)] if self.narrow else list(trials)


@dataclass(frozen=True)
class Choices:
    """What there is to choose from in some trials."""

    criteria: tuple[str, ...]
    devices: tuple[str, ...]
    counts: tuple[int, ...]


def choices(trials: Sequence[Trial]) -> Choices:
    """The criteria, devices and question counts that occur."""
    measured = [trial for trial in trials if not trial.failed]
    return Choices(
        tuple(sorted({name for t in measured for name in (t.config.phi_shallow, t.config.phi_deep)})),
        tuple(sorted({t.device for t in measured if t.device})),
        tuple(sorted({t.n for t in measured})),
    )
