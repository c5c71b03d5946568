"""One Optuna study for one model-benchmark pair, rebuilt from the stored trials."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from himap import PruningConfig
from search.sampling.ehvi import OutsideResult
from search.sampling.problem import Goals
from search.sampling.samplers import affordable, make_sampler
from search.sampling.space import SearchSpace, effective
from storage import RunningTrial
from storage.records import Origin, Trial

_TRIES = 10  # an ask can cost more than a trial
_DRAWS = 2000
_SETTLED = 10  # trials after which their cost is known

Key = tuple[Any, ...]
Baseline = tuple[Origin, PruningConfig]


@dataclass
class Candidate:
    """A configuration to measure as trial `number`; `told` is its Optuna trial, if it has one.

    `source` says where a transferred configuration comes from; `known` is a stored measurement of the same,
    which is taken in place of a new one.
    """

    number: int
    config: PruningConfig
    origin: Origin
    told: optuna.Trial | None = None
    source: str = ""
    known: tuple[str, Trial] | None = None
    attempts: int = 0


class Study:
    """Asks for configurations to measure and learns from results.

    A configuration that does the same as one measured (or being measured) is never asked for: the sampler is
    told the known values, or the proposal is set aside, and it proposes again, at last a random draw. Trials
    that were cut off, as by a kill, come first, with their numbers.

    Args:
        baselines: measured first, in this order.
        image_tokens: of all questions; they decide which configurations do the same.
        sampler: one of SAMPLERS.
        stored: the study's trials so far.
        goals: objectives and limits that the sampler is told.
        warm_starts: measured after the baselines: configurations, each with where it comes from.
        known: by what they do, measurements of other studies of the same weights and questions, each with
            its name.
        workers: trials that will run at the same time.
        dedup: False measures what a sampler repeats once more; for comparison only.
        unfinished: trials that a former run began and did not store.
    """

    def __init__(
        self,
        space: SearchSpace,
        baselines: Iterable[Baseline],
        image_tokens: Iterable[int],
        sampler: str,
        seed: int,
        stored: Iterable[Trial] = (),
        *,
        goals: Goals | None = None,
        warm_starts: Iterable[tuple[PruningConfig, str]] = (),
        known: Mapping[Key, tuple[str, Trial]] | None = None,
        workers: int = 1,
        dedup: bool = True,
        unfinished: Iterable[RunningTrial] = (),
    ) -> None:
        self.space, self.goals = space, goals or Goals()
        self._image_tokens = tuple(image_tokens)
        self._workers, self._dedup = workers, dedup
        self._seen: dict[Key, Trial | None] = {}
        self._known = known or {}
        self._dense: Trial | None = None
        self._beside: list[OutsideResult] = []
        self._seconds: list[float] = []
        self._asks: list[float] = []
        stored = list(stored)
        self._sampler, self._seed = sampler, seed + len(stored)
        self._study = optuna.create_study(directions=self.goals.directions, sampler=self._made(sampler))
        self._queue = [(origin, config, "") for origin, config in baselines]
        self._queue += [("warm_start", config, source) for config, source in warm_starts]
        for trial in sorted(stored, key=lambda t: (t.origin != "dense", t.number)):
            self._seen[self.key(trial.config)] = trial
            self._learn(trial, None)
        taken = {trial.number for trial in stored}
        self._unfinished = [each for each in unfinished if each.number not in taken]
        taken |= {each.number for each in self._unfinished}
        self._numbers = (n for n in itertools.count() if n not in taken)
        self._random = random.Random(self._seed)

    def key(self, config: PruningConfig) -> Key:
        """What the configuration does to this study's questions."""
        return effective(config, self._image_tokens)

    def ask(self) -> Candidate | None:
        """The next configuration to measure; None when nothing new can be found."""
        if self._unfinished:
            return self._again(self._unfinished.pop(0))
        while self._queue:
            origin, config, source = self._queue.pop(0)
            if self.key(config) not in self._seen:
                return self._candidate(config, origin, None, source)
        self._choose_sampler()
        start = time.perf_counter()
        candidate = self._propose()
        self._asks.append(time.perf_counter() - start)
        return candidate or self._draw()

    def _again(self, begun: RunningTrial) -> Candidate:
        config = begun.config
        key = self.key(config)
        self._seen.setdefault(key, None)
        known = self._known.get(key)
        return Candidate(begun.number, config, begun.origin, None, begun.parent, known, begun.attempts)

    def _propose(self) -> Candidate | None:
        for _ in range(_TRIES):
            asked = self._study.ask(self.space.distributions)
            config = self.space.config(asked.params)
            key = self.key(config)
            if key not in self._seen or not self._dedup:
                return self._candidate(config, "sampler", asked)
            self._tell(asked, self._seen[key])
        return None

    def _draw(self) -> Candidate | None:
        """For when the sampler only repeats itself."""
        for _ in range(_DRAWS):
            config = self.space.draw(self._random)
            if self.key(config) not in self._seen:
                return self._candidate(config, "sampler", None)
        return None

    def _choose_sampler(self) -> None:
        """With "auto" and three objectives: Optuna's Gaussian process if trials turn out to be dear, and TPE
        again if its asks become so."""
        two = len(self.goals.objectives) == 2
        if self._sampler != "auto" or two or len(self._seconds) < _SETTLED:
            return
        gaussian = isinstance(self._study.sampler, optuna.samplers.GPSampler)
        wanted = affordable(self._seconds, self._asks if gaussian else (), self._workers)
        if gaussian != wanted:
            self._study.sampler = self._made("gp" if wanted else "tpe")
            self._asks.clear()
        if not wanted:
            self._sampler = "tpe"  # for good: to and fro would make a run depend on the clock

    def _made(self, sampler: str) -> optuna.samplers.BaseSampler:
        return make_sampler(sampler, self._seed, self.space, self.goals, self._fresh, self._beside)

    def _fresh(self, params: dict[str, Any]) -> bool:
        return self.key(self.space.config(params)) not in self._seen

    def _candidate(
        self, config: PruningConfig, origin: Origin, told: optuna.Trial | None, source: str = ""
    ) -> Candidate:
        key = self.key(config)
        self._seen.setdefault(key, None)
        return Candidate(next(self._numbers), config, origin, told, source, self._known.get(key))

    def tell(self, candidate: Candidate, trial: Trial) -> None:
        """Learns the stored result of a candidate."""
        self._seen[self.key(candidate.config)] = trial
        self._learn(trial, candidate.told)

    def _learn(self, trial: Trial, told: optuna.Trial | None) -> None:
        if trial.origin == "dense" and trial.complete:
            self._dense = trial
        if trial.seconds > 0 and not trial.reused:
            self._seconds.append(trial.seconds)
        if told is not None:
            self._tell(told, trial)
        else:
            self._add(trial)

    def _tell(self, asked: optuna.Trial, trial: Trial | None) -> None:
        """Tells a result, or that there is none (yet)."""
        values = self.goals.values(trial) if trial is not None else None
        if trial is None or values is None:
            self._study.tell(asked, state=TrialState.FAIL)
            return
        for name, excess in self.goals.constraints(trial, self._dense).items():
            asked.set_constraint(name, excess)
        self._study.tell(asked, values)

    def _add(self, trial: Trial) -> None:
        """Tells what the sampler did not ask for."""
        params, values = self.space.params(trial.config), self.goals.values(trial)
        limits = self.goals.constraints(trial, self._dense) if values else None
        if self.space.holds(params):
            self._study.add_trial(
                optuna.trial.create_trial(
                    params=params,
                    distributions=self.space.distributions,
                    values=values,
                    state=TrialState.COMPLETE if values else TrialState.FAIL,
                    constraints=limits,
                )
            )
        elif values:
            self._beside.append(OutsideResult(params, values, limits or {}))
