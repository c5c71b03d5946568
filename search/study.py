"""One Optuna study for one model-benchmark pair, rebuilt from the stored trials."""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from himap import PruningConfig
from search.errors import UsageError
from search.space import SearchSpace, effective
from storage.records import Origin, Trial

SAMPLERS = ("tpe", "gp", "nsga2", "random")
_TRIES = 10  # an ask can cost more than a trial
_DRAWS = 2000

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler called `name`, one of SAMPLERS."""
    if name == "tpe":
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, n_startup_trials=20
        )
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=20)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    raise UsageError(f"unknown sampler {name!r}; expected one of {', '.join(SAMPLERS)}")


@dataclass
class Candidate:
    """A configuration to measure as trial `number`; `told` is its Optuna trial, if it has one."""

    number: int
    config: PruningConfig
    origin: Origin
    told: optuna.Trial | None = None
    attempts: int = 0


class PairStudy:
    """Asks for configurations to measure and learns from results; minimizes FLOPs, maximizes accuracy.

    A configuration that does the same as one measured (or being measured) is never asked for: the sampler is
    told the known values, or the proposal is set aside, and it proposes again, at last a random draw. Numbers
    that were never stored, such as those of trials cut off by a kill, are given out again.
    """

    def __init__(
        self,
        space: SearchSpace,
        landmarks: list[tuple[Origin, PruningConfig]],
        image_tokens: Iterable[int],
        sampler: str,
        seed: int,
        stored: Iterable[Trial] = (),
    ) -> None:
        self.space = space
        self._image_tokens = tuple(image_tokens)
        self._seen: dict[tuple, tuple[float, float] | None] = {}
        stored = list(stored)
        self._study = optuna.create_study(
            directions=["minimize", "maximize"], sampler=make_sampler(sampler, seed + len(stored))
        )
        self._queue = list(landmarks)
        for trial in stored:
            self._restore(trial)
        taken = {trial.number for trial in stored}
        self._numbers = (n for n in itertools.count() if n not in taken)
        self._random = random.Random(seed + len(stored))

    def _restore(self, trial: Trial) -> None:
        config = PruningConfig(
            trial.k1, trial.r1, trial.k2, trial.r2, trial.phi_shallow, trial.phi_deep, trial.seed
        )
        values = (trial.flops_ratio, trial.accuracy) if trial.complete else None
        self._seen[self._key(config)] = values
        self._queue = [(o, c) for o, c in self._queue if self._key(c) != self._key(config)]
        self._add(config, values)

    def _add(self, config: PruningConfig, values: tuple[float, float] | None) -> None:
        state = TrialState.COMPLETE if values else TrialState.FAIL
        self._study.add_trial(
            optuna.trial.create_trial(
                params=self.space.params(config),
                distributions=self.space.distributions,
                values=list(values) if values else None,
                state=state,
            )
        )

    def _key(self, config: PruningConfig) -> tuple:
        return effective(config, self._image_tokens)

    def ask(self) -> Candidate | None:
        """The next configuration to measure; None when nothing new can be found."""
        while self._queue:
            origin, config = self._queue.pop(0)
            if self._key(config) not in self._seen:
                return self._candidate(config, origin, None)
        for _ in range(_TRIES):
            asked = self._study.ask(self.space.distributions)
            config = self.space.config(asked.params)
            key = self._key(config)
            if key not in self._seen:
                return self._candidate(config, "sampler", asked)
            known = self._seen[key]
            if known:
                self._study.tell(asked, list(known))
            else:
                self._study.tell(asked, state=TrialState.FAIL)
        for _ in range(_DRAWS):  # the sampler only repeats itself
            config = self.space.draw(self._random)
            if self._key(config) not in self._seen:
                return self._candidate(config, "sampler", None)
        return None

    def _candidate(self, config: PruningConfig, origin: Origin, told: optuna.Trial | None) -> Candidate:
        self._seen[self._key(config)] = None
        return Candidate(next(self._numbers), config, origin, told)

    def tell(self, candidate: Candidate, trial: Trial) -> None:
        """Learns the stored result of a candidate."""
        values = (trial.flops_ratio, trial.accuracy) if trial.complete else None
        self._seen[self._key(candidate.config)] = values
        if candidate.told is None:
            self._add(candidate.config, values)
        elif values:
            self._study.tell(candidate.told, list(values))
        else:
            self._study.tell(candidate.told, state=TrialState.FAIL)
