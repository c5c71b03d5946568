"""How a search went: how hypervolume grew, why trials stopped or failed, how busy workers were. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from dashboard.analysis.study_view import CONTROLS
from storage.pareto import front
from storage.records import Trial

_RECENT = timedelta(minutes=5)


@dataclass(frozen=True)
class Growth:
    """Hypervolume after each trial that was measured to its end, and when that was.

    Against a reference of dense's FLOPs (ratio 1) and accuracy 0; `seconds` count from the first trial.
    """

    numbers: tuple[int, ...]
    seconds: tuple[float, ...]
    volumes: tuple[float, ...]


def hypervolume(trials: Iterable[Trial]) -> float:
    """The area below the front of share of dense FLOPs against accuracy, left of ratio 1; 0 to 1."""
    return _area([(trial.flops_ratio, trial.accuracy) for trial in front(trials, cost="flops_ratio")])


def growth(trials: Sequence[Trial]) -> Growth:
    """How the hypervolume grew, trial by trial in the order in which they finished."""
    ended = sorted(
        (t for t in trials if t.complete and math.isfinite(t.flops_ratio)), key=lambda t: (t.created_at, t.number)
    )
    if not ended:
        return Growth((), (), ())
    began = min(_began(trial) for trial in ended)
    points: list[tuple[float, float]] = []
    volumes: list[float] = []
    for trial in ended:
        cost, value = trial.flops_ratio, trial.accuracy
        if not any(c <= cost and v >= value for c, v in points):
            points = sorted([p for p in points if p[0] < cost or p[1] > value] + [(cost, value)])
            volumes.append(_area(points))
        else:
            volumes.append(volumes[-1])
    seconds = tuple((trial.created_at - began).total_seconds() for trial in ended)
    return Growth(tuple(range(1, len(ended) + 1)), seconds, tuple(volumes))


def control_volume(trials: Iterable[Trial]) -> float | None:
    """The hypervolume that dense and the controls alone reach; None before a control is measured."""
    some = [trial for trial in trials if trial.origin in ("dense", *CONTROLS)]
    return hypervolume(some) if any(t.origin in CONTROLS and t.complete for t in some) else None


@dataclass(frozen=True)
class Busy:
    """How many trials ran at the same time: `counts[i]` from `times[i]` to `times[i + 1]`; the last is 0."""

    times: tuple[datetime, ...]
    counts: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Trials running at a time, on average while any ran."""
        spans = [
            ((later - now).total_seconds(), count)
            for now, later, count in zip(self.times, self.times[1:], self.counts, strict=False)
            if count
        ]
        total = sum(span for span, _ in spans)
        return sum(span * count for span, count in spans) / total if total else 0.0


def busy(trials: Iterable[Trial]) -> Busy:
    """Trials running at each moment, from when each finished and how long it took."""
    changes: Counter[datetime] = Counter()
    for trial in trials:
        if math.isfinite(trial.seconds) and trial.seconds > 0 and not trial.reused:
            changes[_began(trial)] += 1
            changes[trial.created_at] -= 1
    times = sorted(time for time, change in changes.items() if change)
    counts, running = [], 0
    for time in times:
        running += changes[time]
        counts.append(running)
    return Busy(tuple(times), tuple(counts))


def windows(found: Busy, count: int) -> tuple[list[datetime], list[float]]:
    """Mean trials running in each of `count` equal windows, and when each begins."""
    if len(found.times) < 2:
        return [], []
    first = found.times[0]
    at = np.array([(time - first).total_seconds() for time in found.times])
    worked = np.concatenate([[0.0], np.cumsum(np.diff(at) * found.counts[:-1])])
    edges = np.linspace(0, at[-1], count + 1)
    means = np.diff(np.interp(edges, at, worked)) / np.diff(edges)
    return [first + timedelta(seconds=float(edge)) for edge in edges[:-1]], means.tolist()


def rate(trials: Sequence[Trial]) -> float:
    """Trials a minute over the last five minutes in which any finished."""
    if not trials:
        return 0.0
    last = max(trial.created_at for trial in trials)
    recent = [trial for trial in trials if trial.created_at > last - _RECENT]
    began = min(_began(trial) for trial in recent)
    minutes = max((last - began).total_seconds(), 1.0) / 60
    return len(recent) / minutes


def reasons(trials: Iterable[Trial]) -> list[tuple[str, int]]:
    """The reasons of these trials with their counts, those that differ only in numbers taken together."""
    counts: Counter[str] = Counter(re.sub(r"\d+(\.\d+)?", "…", trial.reason) for trial in trials)
    return counts.most_common()


def saved(stopped: Sequence[Trial], questions: int) -> float:
    """The part of all their questions that stopped trials were spared; 0 to 1."""
    return 1 - sum(t.n for t in stopped) / (questions * len(stopped)) if stopped and questions else 0.0


def _began(trial: Trial) -> datetime:
    return trial.created_at - timedelta(seconds=trial.seconds if math.isfinite(trial.seconds) else 0)


def _area(points: Sequence[tuple[float, float]]) -> float:
    """Below a staircase of (cost, value) by rising cost and value, up to cost 1."""
    costs = [cost for cost, _ in points] + [1.0]
    return sum(max(0.0, min(1.0, costs[i + 1]) - cost) * value for i, (cost, value) in enumerate(points) if cost < 1)
