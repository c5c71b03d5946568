"""Simulate how often the race stops a trial wrongly, on a table's scores per question."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.search.tabulate import ScoreTable
from search.workers.racing import Race, Rival

_DRAWS = 2000
_RIVALS = 10


def false_stops(table: ScoreTable, seed: int = 0) -> dict[str, Any]:
    """Race random configurations against a random front, each time with a new order of the questions.

    A stop is wrong where, on all questions, no rival of at most the same cost is better.
    """
    rng = np.random.default_rng(seed)
    accuracy, flops, paper = table.scores.mean(1), table.spent["flops"], table.spent["paper_flops"]
    n = table.scores.shape[1]
    groups: dict[str | int, list[int]] = {}
    for question, group in enumerate(table.groups):
        groups.setdefault(group, []).append(question)
    units = list(groups.values())
    chunks = np.cumsum([len(chunk) for chunk in table.meta["chunks"]])[:-1]
    fair = wrong = beaten = pruned = answered = 0
    for _ in range(_DRAWS):
        row, *others = rng.choice(len(accuracy), min(_RIVALS + 1, len(accuracy)), replace=False)
        cheaper = [o for o in others if flops[o] <= flops[row] and paper[o] <= paper[row]]
        if not cheaper:
            continue
        rivals = [Rival(int(o), flops[o], paper[o], tuple(table.scores[o])) for o in cheaper]
        race = Race(rivals, flops[row], paper[row], table.groups)
        drawn = [units[i] for i in rng.permutation(len(units))]
        order: np.ndarray = np.concatenate(drawn)
        whole = np.cumsum([len(unit) for unit in drawn])
        ends = whole[np.searchsorted(whole, chunks)]
        end = next((e for e in ends if race(order[:e].tolist(), table.scores[row][order[:e]].tolist())), None)
        if accuracy[row] >= max(accuracy[o] for o in cheaper):
            fair, wrong = fair + 1, wrong + (end is not None)
        else:
            beaten, pruned, answered = beaten + 1, pruned + (end is not None), answered + (end or n)
    return {
        "fair": fair,
        "false_stops": wrong,
        "rate": wrong / max(1, fair),
        "beaten": beaten,
        "stopped_of_beaten": pruned / max(1, beaten),
        "asked_of_beaten": float(answered / max(1, beaten * n)),
    }
