"""Trials as tables, one row each. Pure pandas; the cells hold plain text and numbers, never markup."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dashboard.analysis.study_view import LANDMARKS, View
from storage.records import Trial

CONFIGURATION = ("k1", "r1", "k2", "r2", "phi_shallow", "phi_deep")
COSTS = ("flops", "paper_flops", "latency_ms", "image_tokens", "tokens_after_k1", "tokens_after_k2")
INTERVAL = ("accuracy_low", "accuracy_high", "n")
PROVENANCE = ("seed", "device", "seconds", "commit", "created_at")
FRONT = ("number", "flops_ratio", "accuracy", *CONFIGURATION, *COSTS, *INTERVAL)
EVERY = ("number", "origin", "flops_ratio", "accuracy", *CONFIGURATION, *COSTS, *INTERVAL, *PROVENANCE)
PARTS = ("flops_ratio", "accuracy", "accuracy_low", "accuracy_high")
STOPPED = ("number", "n", "reason", "flops_ratio", "accuracy", *CONFIGURATION, "seconds", "created_at")
FAILED = ("number", "reason", *CONFIGURATION, "seed", "created_at")


def trial_frame(trials: Sequence[Trial], columns: Sequence[str]) -> pd.DataFrame:
    """Those fields of the trials; parts of one become percent, and their column `accuracy_percent`."""
    rows = [[fields[name] for name in columns] for fields in map(Trial.flat, trials)]
    frame = pd.DataFrame(rows, columns=[*columns])
    for name in PARTS:
        if name in frame:
            frame[name] = 100 * frame[name].astype(float)
    return frame.rename(columns={name: f"{name}_percent" for name in PARTS})


def front_table(view: View) -> pd.DataFrame:
    """The front by rising cost, with each member's difference to dense in points."""
    frame = trial_frame(view.front, FRONT)
    dense = view.dense
    difference = [float("nan") if dense is None else 100 * (t.accuracy - dense.accuracy) for t in view.front]
    frame.insert(FRONT.index("accuracy") + 1, "to_dense_points", pd.Series(difference, dtype=float))
    held_out = [view.confirmed.get(trial.number) for trial in view.front]
    told = ["estimate" if one is None else one.verdict().partition(":")[0] for one in held_out]
    frame.insert(FRONT.index("accuracy") + 2, "held_out", pd.Series(told, dtype=str))
    return frame


def all_table(view: View) -> pd.DataFrame:
    """Every complete trial by number, with its role."""
    members = {trial.number for trial in view.front}
    frame = trial_frame(view.complete, EVERY)
    roles = [LANDMARKS.get(trial.origin, "search") for trial in view.complete]
    frame["origin"] = pd.Series(roles, dtype=str)
    frame.insert(2, "front", pd.Series([t.number in members for t in view.complete], dtype=bool))
    frame.insert(3, "confirmed", pd.Series([t.number in view.confirmed for t in view.complete], dtype=bool))
    return frame


def stopped_table(view: View) -> pd.DataFrame:
    """Every trial that was given up early by number, with its reason and the estimate so far."""
    return trial_frame(view.stopped, STOPPED)


def failure_table(view: View) -> pd.DataFrame:
    """Every failed trial by number, with its reason."""
    return trial_frame(view.failed, FAILED)


def confirmation_table(view: View) -> pd.DataFrame:
    """What held-out questions say of each confirmed trial, by number."""
    rows = [
        [
            number,
            one.verdict(),
            100 * one.difference,
            100 * one.difference_low,
            100 * one.difference_high,
            100 * one.accuracy,
            one.n,
            one.split,
            one.device,
        ]
        for number, one in sorted(view.confirmed.items())
    ]
    columns = (
        "number",
        "held_out",
        "to_dense_points",
        "to_dense_low",
        "to_dense_high",
        "accuracy_percent",
        "n",
        "split",
        "device",
    )
    return pd.DataFrame(rows, columns=[*columns])


def flat(trial: Trial) -> dict[str, object]:
    """A trial as one row of a file: metrics and versions become columns of their own."""
    row = {name: value for name, value in trial.flat().items() if name not in ("metrics", "versions")}
    row |= {f"metric {name}": value for name, value in sorted(trial.metrics.items())}
    return row | {f"version {name}": value for name, value in sorted(trial.versions.items())}
