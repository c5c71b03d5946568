"""How a search went: the hypervolume over time, trials running at a time, reasons for failures."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from dashboard.analysis.study_view import CONTROLS
from storage.pareto import front, hypervolume
from storage.records import Trial

_RECENT = timedelta(minutes=5)


@dataclass(frozen=True)
class Growth:
    """The hypervolume after each complete trial, and the seconds from the start of the first trial until then."""

    seconds: tuple[float, ...]
    volumes: tuple[float, ...]


def growth(trials: Sequence[Trial]) -> Growth:
    """Return how the hypervolume grew, trial by trial in the order in which they finished."""
    finished = [trial for trial in trials if trial.complete and math.isfinite(trial.flops_ratio)]
    finished.sort(key=lambda trial: (trial.created_at, trial.number))
    start = min((_started_at(trial) for trial in finished), default=None)
    members: list[Trial] = []
    volume, volumes = 0.0, []
    for trial in finished:
        if not any(m.flops_ratio <= trial.flops_ratio and m.accuracy >= trial.accuracy for m in members):
            members = front([*members, trial], "flops_ratio")
            volume = hypervolume(members)
        volumes.append(volume)
    return Growth(tuple((trial.created_at - start).total_seconds() for trial in finished if start), tuple(volumes))


def control_volume(trials: Iterable[Trial]) -> float | None:
    """Return the hypervolume of dense and the controls alone; None before a control is measured."""
    baselines = [trial for trial in trials if trial.complete and trial.origin in ("dense", *CONTROLS)]
    return hypervolume(baselines) if any(trial.origin in CONTROLS for trial in baselines) else None


@dataclass(frozen=True)
class RunningTrials:
    """Trials running at the same time: `counts[i]` from `times[i]` to `times[i + 1]`; the last is 0."""

    times: tuple[datetime, ...]
    counts: tuple[int, ...]

    @property
    def mean(self) -> float:
        """The mean count over the time in which any trial ran."""
        spans = np.diff([time.timestamp() for time in self.times])
        counts = np.array(self.counts[:-1], dtype=int)
        busy = spans[counts > 0].sum()
        return float(spans @ counts / busy) if busy else 0.0

    def windows(self, number: int) -> tuple[list[datetime], list[float]]:
        """Return the starts of so many equal windows of time, and the mean count in each."""
        if len(self.times) < 2:
            return [], []
        first = self.times[0]
        seconds = np.array([(time - first).total_seconds() for time in self.times])
        worked = np.concatenate([[0.0], np.cumsum(np.diff(seconds) * self.counts[:-1])])
        edges = np.linspace(0, seconds[-1], number + 1)
        means = np.diff(np.interp(edges, seconds, worked)) / np.diff(edges)
        return [first + timedelta(seconds=float(edge)) for edge in edges[:-1]], means.tolist()


def running_trials(trials: Iterable[Trial]) -> RunningTrials:
    """Return how many trials ran at each moment, from when each finished and how long it took."""
    changes: Counter[datetime] = Counter()
    for trial in trials:
        if math.isfinite(trial.seconds) and trial.seconds > 0 and not trial.reused:
            changes[_started_at(trial)] += 1
            changes[trial.created_at] -= 1
    times = sorted(time for time, change in changes.items() if change)
    return RunningTrials(tuple(times), tuple(np.cumsum([changes[time] for time in times]).astype(int).tolist()))


def trials_per_minute(trials: Sequence[Trial]) -> float:
    """Return the rate over the last five minutes in which any trial finished."""
    if not trials:
        return 0.0
    last = max(trial.created_at for trial in trials)
    recent = [trial for trial in trials if trial.created_at > last - _RECENT]
    start = min(_started_at(trial) for trial in recent)
    return len(recent) / (max((last - start).total_seconds(), 1.0) / 60)


def reason_counts(trials: Iterable[Trial]) -> list[tuple[str, int]]:
    """Return the reasons of trials with their counts; those that differ only in numbers are one."""
    return Counter(re.sub(r"\d+(\.\d+)?", "…", trial.reason) for trial in trials).most_common()


def saved_share(pruned: Sequence[Trial], questions: int) -> float:
    """Return the share of all their questions that pruned trials were spared, 0 to 1."""
    return 1 - sum(t.n for t in pruned) / (questions * len(pruned)) if pruned and questions else 0.0


def _started_at(trial: Trial) -> datetime:
    return trial.created_at - timedelta(seconds=trial.seconds if math.isfinite(trial.seconds) else 0)
