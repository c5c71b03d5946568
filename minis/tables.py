"""Markdown tables of accuracies, and the rows of one mini's evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def percent(mean: float, low: float, high: float, *, sign: bool = False) -> str:
    """Return a share of 1 in percent with its interval; `sign` shows a plus too, as for a difference."""
    form = "{:+.1f}" if sign else "{:.1f}"
    shown = [form.format(100 * value) for value in (mean, low, high)]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def mean_percent(tasks: Mapping[str, Any], config: str, field: str, digits: int) -> str:
    """Return the mean of a field of one configuration over all tasks, in percent."""
    return f"{100 * sum(cells[config][field] for cells in tasks.values()) / len(tasks):.{digits}f}"


def accuracy_rows(tasks: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the configurations' names, and one row a task of accuracies, then the mean FLOPs of each."""
    configs = list(next(iter(tasks.values())))
    rows = [
        [task, *(percent(c["accuracy"], c["low"], c["high"]) for c in cells.values())] for task, cells in tasks.items()
    ]
    return configs, [*rows, ["mean true FLOPs", *(f"{mean_percent(tasks, c, 'flops_ratio', 0)} %" for c in configs)]]


def accuracy_table(tasks: Mapping[str, Any]) -> str:
    """Return the accuracy of each configuration by task, with the means of FLOPs and accuracy."""
    configs, rows = accuracy_rows(tasks)
    means = ["mean accuracy", *(mean_percent(tasks, config, "accuracy", 1) for config in configs)]
    return markdown(["task", *configs], [*rows, means])
