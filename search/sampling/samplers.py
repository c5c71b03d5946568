"""Samplers by name, and which one suits what is searched for and what an ask costs against a trial."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import optuna

from search.errors import UsageError
from search.sampling.ehvi import EHVISampler, OutsideResult
from search.sampling.problem import Goals
from search.sampling.space import SearchSpace

SAMPLERS = ("auto", "ehvi", "gp", "tpe", "nsga2", "random")
_STARTUP = 20
_GP_ASK = 0.7  # seconds; until it was measured here
_SHARE = 0.25

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def check_sampler(name: str, goals: Goals) -> None:
    """Raises UsageError if there is no such sampler, or it cannot search for these objectives."""
    if name not in SAMPLERS:
        raise UsageError(f"unknown sampler {name!r}; expected one of {', '.join(SAMPLERS)}")
    if name == "ehvi" and len(goals.objectives) > 2:
        got = " ".join(goals.objectives)
        raise UsageError(f"got --sampler ehvi with the objectives {got}; it takes two: leave one out, or use tpe")


def make_sampler(
    name: str,
    seed: int,
    space: SearchSpace,
    goals: Goals,
    fresh: Callable[[dict[str, Any]], bool],
    beside: Sequence[OutsideResult] = (),
) -> optuna.samplers.BaseSampler:
    """The sampler called `name`, one of SAMPLERS. "auto" is EHVI for two objectives and TPE for three.

    Args:
        fresh: whether parameters mean a configuration that was not asked for yet.
        beside: results outside of the space; it may grow.

    Raises:
        UsageError: as `check_sampler`.
    """
    check_sampler(name, goals)
    if name == "auto":
        name = "ehvi" if len(goals.objectives) == 2 else "tpe"
    if name == "ehvi":
        return EHVISampler(space, goals.objectives.index("accuracy"), seed, fresh, beside)
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=_STARTUP)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=_STARTUP)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


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
