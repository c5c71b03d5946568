"""Trials as tables, one row each. Cells hold plain text and numbers, never markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dashboard.analysis.study_view import BASELINE_NAMES, View
from dashboard.wording.descriptions import certificate_text, short_verdict
from dashboard.wording.formatting import capitalized
from himap.presets import Timing
from storage.records import SPEEDUP, Trial

CONFIGURATION = ("k1", "r1", "k2", "r2", "phi_shallow", "phi_deep")
SETTINGS = (*CONFIGURATION, "seed")
COSTS = ("flops", "paper_flops", "latency_ms", *SPEEDUP, "image_tokens", "tokens_after_k1", "tokens_after_k2")
INTERVAL = ("accuracy_low", "accuracy_high", "n")
PROVENANCE = ("seed", "device", "seconds", "commit", "created_at")
FRONT = ("number", "flops_ratio", "accuracy", *CONFIGURATION, *COSTS, *INTERVAL)
ALL = ("number", "origin", "flops_ratio", "accuracy", *CONFIGURATION, *COSTS, *INTERVAL, *PROVENANCE)
SHARES = ("flops_ratio", "accuracy", "accuracy_low", "accuracy_high")
PRUNED = ("number", "n", "reason", "flops_ratio", "accuracy", *CONFIGURATION, "seconds", "created_at")
FAILED = ("number", "reason", *CONFIGURATION, "seed", "created_at")


def trial_frame(trials: Sequence[Trial], columns: Sequence[str]) -> pd.DataFrame:
    """Return these fields of trials; shares become percent, as in the column `accuracy_percent`."""
    values: dict[str, Any] = {}
    for name in columns:
        column = [getattr(trial.config if name in SETTINGS else trial, name) for trial in trials]
        if name in SHARES:
            values[f"{name}_percent"] = 100 * np.array(column, dtype=float)
        else:
            values[name] = column
    return pd.DataFrame(values)


def front_table(view: View) -> pd.DataFrame:
    """Return the front by rising cost, with each member's difference to dense and what held-out questions say."""
    frame, dense = trial_frame(view.front, FRONT), view.dense
    differences = [float("nan") if dense is None else 100 * (t.accuracy - dense.accuracy) for t in view.front]
    frame.insert(3, "to_dense_points", pd.Series(differences, dtype=float))
    frame.insert(4, "held_out", pd.Series([certificate_text(view, trial) for trial in view.front], dtype=str))
    return frame


def all_table(view: View) -> pd.DataFrame:
    """Return every complete trial by number, with its role and what held-out questions say."""
    frame, members = trial_frame(view.complete, ALL), {trial.number for trial in view.front}
    frame["origin"] = pd.Series([BASELINE_NAMES.get(trial.origin, "search") for trial in view.complete], dtype=str)
    frame.insert(2, "front", pd.Series([t.number in members for t in view.complete], dtype=bool))
    frame.insert(3, "held_out", pd.Series([certificate_text(view, trial) for trial in view.complete], dtype=str))
    return frame


def pruned_table(view: View) -> pd.DataFrame:
    """Return every pruned trial by number, with its reason and its estimate."""
    return trial_frame(view.pruned, PRUNED)


def failure_table(view: View) -> pd.DataFrame:
    """Return every failed trial by number, with its reason."""
    return trial_frame(view.failed, FAILED)


def held_out_table(view: View) -> pd.DataFrame:
    """Return what held-out questions say of each trial that was measured on them, by number."""
    rows = [
        {
            "number": number,
            "held_out": short_verdict(result),
            "to_dense_points": 100 * result.difference,
            "to_dense_low": 100 * result.difference_low,
            "to_dense_high": 100 * result.difference_high,
            "accuracy_percent": 100 * result.accuracy,
            **{name: getattr(result, name) for name in SPEEDUP},
            "n": result.n,
            "split": result.split,
            "device": result.device,
        }
        for number, result in sorted(view.confirmations.items())
    ]
    return pd.DataFrame(rows)


def timing_table(timings: Sequence[Timing]) -> pd.DataFrame:
    """Return everything that was timed of a configuration, one row a figure and batch."""
    rows = [timing.model_dump() | {"figure": capitalized(timing.figure.replace("_", " "))} for timing in timings]
    return pd.DataFrame(rows)


def csv(trials: Sequence[Trial]) -> bytes:
    """Return a CSV file of trials with every field but their scores, in the units of the store.

    Metrics and versions become columns of their own.
    """
    rows = []
    for trial in trials:
        row = trial.flat()
        metrics, versions = row.pop("metrics"), row.pop("versions")
        row |= {f"metric {name}": value for name, value in sorted(metrics.items())}
        rows.append(row | {f"version {name}": value for name, value in sorted(versions.items())})
    return pd.DataFrame(rows).to_csv(index=False).encode()
