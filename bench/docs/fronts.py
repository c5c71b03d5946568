"""Draw the fronts of studies, and count how many of their steps are more than noise.

Two neighbors on a front differ when the paired 95 % bootstrap interval of the difference of their accuracies, on
the same validation questions, is above zero. The members are the best of many noisy estimates, so the count is
an upper estimate.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from objectives.statistics.estimates import paired_difference
from storage import StudyKey, Trial
from storage.pareto import front

_MARKS = {"dense": ("s", "#222222"), "fastv": ("^", "#c9472f"), "paper": ("D", "#2f8f4e"), "random": ("x", "#888888")}


def distinct_steps(members: list[Trial]) -> list[Trial]:
    """Return front members, cheapest first, each better than the one before by more than the paired interval.

    The choice is greedy from the top: the next member is the most expensive one that is significantly worse.
    """
    chain = members[-1:]
    for member in reversed(members[:-1]):
        if paired_difference(chain[0].scores, member.scores).low > 0:
            chain.insert(0, member)
    return chain


def panel(axes: Axes, key: StudyKey, trials: list[Trial]) -> None:
    """Draw FLOPs against accuracy of one study: all trials, the front as steps, the baselines."""
    complete = [t for t in trials if t.complete]
    members = front(complete)
    axes.scatter([t.flops_ratio for t in complete], [100 * t.accuracy for t in complete], s=6, color="#c8ccd8", lw=0)
    x, y = [t.flops_ratio for t in members], [100 * t.accuracy for t in members]
    axes.step(x, y, where="post", color="#3057c9", lw=1.4, label="front")
    low = [100 * (t.accuracy - t.accuracy_low) for t in members]
    high = [100 * (t.accuracy_high - t.accuracy) for t in members]
    axes.errorbar(x, y, yerr=[low, high], fmt="o", ms=3, lw=0.6, color="#3057c9")
    for trial in complete:
        if trial.origin in _MARKS:
            marker, color = _MARKS[trial.origin]
            axes.plot(trial.flops_ratio, 100 * trial.accuracy, marker, color=color, ms=7, label=trial.origin, ls="")
    axes.set(title=f"{key.model} / {key.benchmark} (n = {complete[0].n})", xlabel="true FLOPs / dense", xlim=(0, 1.03))
    axes.grid(alpha=0.3)


def draw(studies: list[tuple[StudyKey, list[Trial]]], out: Path) -> None:
    """Draw one panel a study into a PNG file."""
    columns = min(3, len(studies))
    rows = -(-len(studies) // columns)
    size = (4.4 * columns, 3.3 * rows)
    figure, panels = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axes in panels.flat[len(studies) :]:
        axes.set_axis_off()
    for axes, (key, trials) in zip(panels.flat, studies, strict=False):
        panel(axes, key, trials)
    panels[0, 0].set_ylabel("accuracy, %")
    panels[0, 0].legend(loc="lower right", fontsize=8)
    trial = studies[0][1][0]
    origin = f"validation estimates with 95 % intervals; {trial.device}; commit {trial.commit or 'unknown'}"
    figure.supxlabel(origin, fontsize=8)
    figure.savefig(out, dpi=110)
