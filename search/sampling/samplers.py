"""Samplers by name, and when a Gaussian process is affordable."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import optuna

from search.sampling.ehvi import EHVISampler, OutsideResult
from search.sampling.problem import Goals, check_sampler
from search.sampling.space import SearchSpace

_STARTUP = 20
_GP_ASK = 0.7  # seconds of an ask, until it was measured here
_SHARE = 0.25

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def make_sampler(
    name: str,
    seed: int,
    space: SearchSpace,
    goals: Goals,
    is_new: Callable[[dict[str, Any]], bool],
    outside: Sequence[OutsideResult] = (),
    floor: Callable[[], float] = lambda: 0.0,
) -> optuna.samplers.BaseSampler:
    """Return the sampler called `name`, one of SAMPLERS. "auto" is EHVI for two objectives and TPE for three.

    Args:
        is_new: whether parameters have an effect that no trial has had yet.
        outside: results outside the space; the sequence may grow.
        floor: accuracy of the reference point.

    Raises:
        UsageError: as `check_sampler`.
    """
    check_sampler(name, goals)
    if name == "auto":
        name = "ehvi" if len(goals.objectives) == 2 else "tpe"
    if name == "ehvi":
        return EHVISampler(space, goals.objectives.index("accuracy"), seed, is_new, outside, floor)
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=_STARTUP)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=_STARTUP)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def affordable(trial_seconds: Sequence[float], ask_seconds: Sequence[float], workers: int) -> bool:
    """Return whether an ask of a Gaussian process takes at most a quarter of the time between two trials' ends.

    Args:
        trial_seconds: of measured trials; without any the answer is no.
        ask_seconds: of the Gaussian process's asks so far; the last five count.
        workers: trials that run at the same time.
    """
    if not trial_seconds:
        return False
    ask = median(ask_seconds[-5:]) if ask_seconds else _GP_ASK
    return ask <= _SHARE * median(trial_seconds) / workers
