"""One Optuna study of a model on a benchmark, rebuilt from the stored trials."""

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
from search.sampling.ehvi import EHVISampler, OutsideResult
from search.sampling.problem import Goals
from search.sampling.samplers import affordable, make_sampler
from search.sampling.space import EffectKey, SearchSpace
from search.workers.racing import Rival
from storage import RunningTrial
from storage.records import Origin, Trial

_PROPOSALS = 10  # of the sampler before a random draw: an ask can cost more than a trial
_DRAWS = 2000
_SETTLED = 10  # trials after which their cost is known

Baseline = tuple[Origin, PruningConfig]
KnownResult = tuple[str, Trial]  # the trial's name, and the trial


@dataclass
class Candidate:
    """A configuration to measure as trial `number`.

    Attributes:
        proposal: the Optuna trial by which the sampler proposed it, if it did.
        parent: the trial that a warm start takes its configuration from; "" without one.
        known: a stored measurement with the same effect, which is used in place of a new one.
        rivals: front members that it races against.
        attempts: workers that it was lost with.
    """

    number: int
    config: PruningConfig
    origin: Origin
    proposal: optuna.Trial | None = None
    parent: str = ""
    known: KnownResult | None = None
    rivals: tuple[Rival, ...] = ()
    attempts: int = 0


class Study:
    """Asks for configurations to measure and learns from results.

    No effect is asked for twice: a proposal whose effect was measured gets the known values, one whose effect is
    being measured is set aside, and the sampler proposes again; after some attempts a random draw replaces it.
    Trials that a stop cut off come first, with their numbers.

    Args:
        baselines: measured first, in this order.
        image_tokens: of all questions; they decide which configurations have the same effect.
        sampler: one of SAMPLERS.
        stored: the study's trials so far.
        goals: objectives and limits.
        warm_starts: measured after the baselines: configurations, each with the name of its trial.
        known: measurements of other studies of the same weights and questions, by effect.
        workers: trials that will run at the same time.
        dedup: False measures an effect again where a sampler repeats it; for comparison only.
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
        known: Mapping[EffectKey, KnownResult] | None = None,
        workers: int = 1,
        dedup: bool = True,
        unfinished: Iterable[RunningTrial] = (),
    ) -> None:
        self.space, self.goals = space, goals or Goals()
        self._image_tokens = tuple(image_tokens)
        self._workers, self._dedup = workers, dedup
        self._results: dict[EffectKey, Trial | None] = {}  # None: being measured
        self._known = known or {}
        self._dense: Trial | None = None
        self._outside: list[OutsideResult] = []
        self._trial_seconds: list[float] = []
        self._ask_seconds: list[float] = []
        stored = list(stored)
        self._sampler, self._seed = sampler, seed + len(stored)
        self._study = optuna.create_study(directions=self.goals.directions, sampler=self._make_sampler(sampler))
        self._queue = [(origin, config, "") for origin, config in baselines]
        self._queue += [("warm_start", config, parent) for config, parent in warm_starts]
        for trial in sorted(stored, key=lambda t: (t.origin != "dense", t.number)):
            self._results[self.effect_key(trial.config)] = trial
            self._learn(trial, None)
        numbers = {trial.number for trial in stored}
        self._unfinished = [trial for trial in unfinished if trial.number not in numbers]
        numbers |= {trial.number for trial in self._unfinished}
        self._free_numbers = (n for n in itertools.count() if n not in numbers)
        self._rng = random.Random(self._seed)

    def effect_key(self, config: PruningConfig) -> EffectKey:
        """Return what the configuration does to this study's questions."""
        return self.space.effect_key(config, self._image_tokens)

    @property
    def spent(self) -> bool:
        """Whether the sampler expects next to nothing to gain from a further trial."""
        sampler = self._study.sampler
        return isinstance(sampler, EHVISampler) and sampler.spent

    def ask(self) -> Candidate | None:
        """Return the next configuration to measure; None when no new effect is left, or next to nothing to gain."""
        if self._unfinished:
            return self._resumed(self._unfinished.pop(0))
        while self._queue:
            origin, config, parent = self._queue.pop(0)
            if self.effect_key(config) not in self._results:
                return self._candidate(config, origin, None, parent)
        self._choose_sampler()
        start = time.perf_counter()
        candidate = self._propose()
        self._ask_seconds.append(time.perf_counter() - start)
        return None if self.spent else candidate or self._draw()

    def tell(self, candidate: Candidate, trial: Trial) -> None:
        """Learn the stored result of a candidate."""
        self._results[self.effect_key(candidate.config)] = trial
        self._learn(trial, candidate.proposal)

    def _resumed(self, begun: RunningTrial) -> Candidate:
        key = self.effect_key(begun.config)
        self._results.setdefault(key, None)
        return Candidate(
            begun.number,
            begun.config,
            begun.origin,
            parent=begun.parent,
            known=self._known.get(key),
            attempts=begun.attempts,
        )

    def _propose(self) -> Candidate | None:
        for _ in range(_PROPOSALS):
            proposal = self._study.ask(self.space.distributions)
            config = self.space.config(proposal.params)
            key = self.effect_key(config)
            if key not in self._results or not self._dedup:
                return self._candidate(config, "sampler", proposal)
            self._tell(proposal, self._results[key])
        return None

    def _draw(self) -> Candidate | None:
        """Return a random configuration, for when the sampler only repeats itself."""
        for _ in range(_DRAWS):
            config = self.space.draw(self._rng)
            if self.effect_key(config) not in self._results:
                return self._candidate(config, "sampler", None)
        return None

    def _choose_sampler(self) -> None:
        """Switch between samplers where "auto" meets three objectives.

        Optuna's Gaussian process takes over where trials are expensive, and TPE again where its asks become so.
        """
        two = len(self.goals.objectives) == 2
        if self._sampler != "auto" or two or len(self._trial_seconds) < _SETTLED:
            return
        gaussian = isinstance(self._study.sampler, optuna.samplers.GPSampler)
        wanted = affordable(self._trial_seconds, self._ask_seconds if gaussian else (), self._workers)
        if gaussian != wanted:
            self._study.sampler = self._make_sampler("gp" if wanted else "tpe")
            self._ask_seconds.clear()
        if not wanted:
            self._sampler = "tpe"  # for good: switching back would make a run depend on the clock

    def _make_sampler(self, sampler: str) -> optuna.samplers.BaseSampler:
        return make_sampler(sampler, self._seed, self.space, self.goals, self._is_new, self._outside, self._floor)

    def _floor(self) -> float:
        """Return the accuracy of the reference point."""
        return 0.0 if self._dense is None else max(0.0, self._dense.accuracy - self.goals.reference / 100)

    def _is_new(self, params: dict[str, Any]) -> bool:
        return self.effect_key(self.space.config(params)) not in self._results

    def _candidate(
        self, config: PruningConfig, origin: Origin, proposal: optuna.Trial | None, parent: str = ""
    ) -> Candidate:
        key = self.effect_key(config)
        self._results.setdefault(key, None)
        return Candidate(next(self._free_numbers), config, origin, proposal, parent, self._known.get(key))

    def _learn(self, trial: Trial, proposal: optuna.Trial | None) -> None:
        if trial.origin == "dense" and trial.complete:
            self._dense = trial
        if trial.seconds > 0 and not trial.reused:
            self._trial_seconds.append(trial.seconds)
        if proposal is not None:
            self._tell(proposal, trial)
        else:
            self._add(trial)

    def _tell(self, proposal: optuna.Trial, trial: Trial | None) -> None:
        """Tell the sampler the result of its proposal, or that there is none (yet)."""
        values = self.goals.values(trial) if trial is not None else None
        if trial is None or values is None:
            self._study.tell(proposal, state=TrialState.FAIL)
            return
        for name, excess in self.goals.constraints(trial, self._dense).items():
            proposal.set_constraint(name, excess)
        self._study.tell(proposal, values)

    def _add(self, trial: Trial) -> None:
        """Tell the sampler a result that it did not propose."""
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
            self._outside.append(OutsideResult(params, values, limits or {}))
