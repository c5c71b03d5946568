"""Optuna's samplers by name, and which one suits what an ask costs against what a trial costs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from statistics import median

import optuna

from search.errors import UsageError

SAMPLERS = ("auto", "gp", "tpe", "nsga2", "random")
_STARTUP = 20
_GP_ASK = 0.7  # seconds; until it was measured here
_SHARE = 0.25

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler called `name`, one of SAMPLERS; "auto" begins as TPE."""
    if name in ("tpe", "auto"):
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, n_startup_trials=_STARTUP
        )
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=_STARTUP)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    raise UsageError(f"unknown sampler {name!r}; expected one of {', '.join(SAMPLERS)}")


def affordable(trial_seconds: Sequence[float], ask_seconds: Sequence[float], workers: int) -> bool:
    """Whether a Gaussian process's ask takes at most a quarter of the time between two trials' ends.

    Args:
        trial_seconds: of measured trials; without any, nothing is known and the answer is no.
        ask_seconds: of asks to the Gaussian process so far; the last five count.
        workers: trials that run at the same time.
    """
    if not trial_seconds:
        return False
    ask = median(ask_seconds[-5:]) if ask_seconds else _GP_ASK
    return ask <= _SHARE * median(trial_seconds) / workers
