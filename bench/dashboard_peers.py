"""optuna-dashboard on the same trials, where it is installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from bench.dashboard_store import CRITERIA, LAYERS
from bench.serving import free_port, running
from storage import Trial, open_store

PEER = importlib.util.find_spec("optuna_dashboard")
_SPACE = {
    "k1": IntDistribution(1, LAYERS), "k2": IntDistribution(1, LAYERS),
    "r1": FloatDistribution(0, 100), "r2": FloatDistribution(0, 100),
    "phi_shallow": CategoricalDistribution(CRITERIA), "phi_deep": CategoricalDistribution(CRITERIA),
}  # fmt: skip


def fill_optuna(source: str, target: str) -> None:
    """The trials of our store as Optuna studies of two objectives."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(target)
    with open_store(source, readonly=True) as store:
        for summary in store.studies():
            study = optuna.create_study(
                storage=storage, study_name=summary.key.name, directions=["minimize", "maximize"]
            )
            study.add_trials([_frozen(trial) for trial in store.trials(summary.id, scores=False)])


def _frozen(trial: Trial) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(
        params={name: getattr(trial, name) for name in _SPACE}, distributions=_SPACE,
        values=[trial.flops, trial.accuracy],
    )  # fmt: skip


@contextmanager
def serving_optuna(storage: str) -> Iterator[str]:
    """The address of optuna-dashboard on that store."""
    port = free_port()
    command = [sys.executable, "-m", "optuna_dashboard", storage, "--port", str(port)]
    if importlib.util.find_spec("optuna_dashboard.__main__") is None:
        command[1:3] = ["-c", "import sys; from optuna_dashboard._cli import main; sys.exit(main())"]
    with running(command, f"http://127.0.0.1:{port}", "/dashboard") as address:
        yield address
