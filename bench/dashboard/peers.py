"""Serve optuna-dashboard on the same trials, where it is installed."""

from __future__ import annotations

import importlib.util
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json

from bench.dashboard.serving import free_port, running
from bench.dashboard.store import CRITERIA
from bench.synthetic import LAYERS
from storage import Trial, open_store

PEER = importlib.util.find_spec("optuna_dashboard")
_SPACE: dict[str, Any] = {
    **dict.fromkeys(("k1", "k2"), IntDistribution(1, LAYERS)),
    **dict.fromkeys(("r1", "r2"), FloatDistribution(0, 100)),
    **dict.fromkeys(("phi_shallow", "phi_deep"), CategoricalDistribution(CRITERIA)),
}


def fill_optuna(source: str, target: Path) -> None:
    """Copy the trials of a store into Optuna studies of two objectives, in a SQLite file of Optuna's schema.

    Optuna creates the studies; the rows of their trials are inserted at once, because its storage adds them one
    by one at tens of milliseconds each. A trial that was stopped early has its values too.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage, identifier = optuna.storages.RDBStorage(f"sqlite:///{target}"), 0
    with open_store(source, readonly=True) as store, closing(sqlite3.connect(target)) as connection:
        for summary in store.studies():
            name = summary.key.name
            optuna.create_study(storage=storage, study_name=name, directions=["minimize", "maximize"])
            (study,) = connection.execute("SELECT study_id FROM studies WHERE study_name = ?", (name,)).fetchone()
            trials = store.trials(summary.id, scores=False)
            _insert(connection, study, identifier, trials)
            identifier += len(trials)


def _insert(connection: sqlite3.Connection, study: int, first: int, trials: Sequence[Trial]) -> None:
    distributions = {name: distribution_to_json(distribution) for name, distribution in _SPACE.items()}
    with connection:
        connection.executemany(
            "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)"
            " VALUES (?, ?, ?, 'COMPLETE', ?, ?)",
            [(first + i + 1, i, study, *[f"{t.created_at:%Y-%m-%d %H:%M:%S.%f}"] * 2) for i, t in enumerate(trials)],
        )
        connection.executemany(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)",
            [
                (first + i + 1, name, one.to_internal_repr(getattr(trial.config, name)), distributions[name])
                for i, trial in enumerate(trials)
                for name, one in _SPACE.items()
            ],
        )
        connection.executemany(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, ?, ?, 'FINITE')",
            [
                (first + i + 1, objective, value)
                for i, trial in enumerate(trials)
                for objective, value in enumerate((trial.flops, trial.accuracy))
            ],
        )


@contextmanager
def serving_optuna(storage: str) -> Iterator[str]:
    """Run optuna-dashboard on an Optuna storage and yield its address."""
    port = free_port()
    script = str(Path(sys.executable).with_name("optuna-dashboard"))
    command = [script, storage, "--port", str(port)]
    with running(command, f"http://127.0.0.1:{port}", "/dashboard") as address:
        yield address
