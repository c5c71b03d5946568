"""A sampler that asks for the configuration from which the front is expected to gain most.

Samplers in general model every objective. Here only accuracy is uncertain: FLOPs are linear in the image
tokens of each layer and in their squares (Eq. 10), so a few trials tell them for every configuration, and the
expected hypervolume improvement (EHVI) has a closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtr
from threadpoolctl import ThreadpoolController

from search.sampling.encoding import Axes
from search.sampling.gaussian_process import GaussianProcess, KernelParameters, Points, fitted
from search.sampling.space import SearchSpace

_STARTUP = 3  # trials, before which proposals are random: as many as a cost has coefficients
_MOST = 128  # trials behind the surrogate; an ask's time grows with the square of their number
_EARLY, _EVERY = 30, 3  # after so many trials every third ask is for a random cost
_ABOUT = 0.85  # of that cost
_EXACT = 1e-9
_DRAWN, _NEAR, _BEST, _ROUNDS = 100, 100, 7, 4  # candidates: at random, about the front, and about the best


@dataclass(frozen=True)
class OutsideResult:
    """A result outside of the space, with what an Optuna trial has of one inside."""

    params: dict[str, Any]
    values: list[float]
    constraints: dict[str, float]


Observation = FrozenTrial | OutsideResult


class EHVISampler(optuna.samplers.BaseSampler):
    """For accuracy against one cost. What is running counts as if it had found what is expected of it.

    Where a front is flat nothing is expected to gain. But what seems as good as dense by the few questions of
    a search may not be, so every third ask is for the most accurate configuration of a random cost:
    `search.export` chooses from these, too.

    Args:
        accuracy: which of both objectives it is.
        fresh: whether parameters mean a configuration that was not asked for yet.
        beside: results outside of the space, such as controls; it may grow.
    """

    def __init__(
        self,
        space: SearchSpace,
        accuracy: int,
        seed: int,
        fresh: Callable[[dict[str, Any]], bool],
        beside: Sequence[OutsideResult] = (),
    ) -> None:
        self._axes, self._accuracy, self._fresh, self._beside = Axes(space), accuracy, fresh, beside
        self._rng = np.random.default_rng(seed)
        self._shape, self._asks = KernelParameters(), 0
        self._blas = ThreadpoolController()
        self._places: dict[int, np.ndarray] = {}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters: they are sampled together."""
        return self._axes.distributions

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Raises ValueError: only what lies outside of the space is asked for alone."""
        raise ValueError(f"got the parameter {param_name!r}; expected only those of the space")

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next configuration's parameters."""
        with self._blas.limit(limits=1, user_api="blas"):  # the workers need the other cores
            return self._asked(study)

    def _asked(self, study: optuna.Study) -> dict[str, Any]:
        told: list[Observation] = [*self._beside, *study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
        if len(told) < _STARTUP:
            return self._axes.params(self._axes.drawn(1, self._rng)[0])
        told = self._some(told)
        places, values = self._places_of(told), np.array([each.values for each in told])
        accuracy, cost = values[:, self._accuracy], values[:, 1 - self._accuracy]
        floor = accuracy[-1] + told[-1].constraints["drop"] if "drop" in told[-1].constraints else 0.0
        points = self._axes.points(places)
        costs_model, process = _CostModel(points, cost, told), self._process(points, accuracy)

        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        waiting = self._places_of([each for each in running if each.params])
        if len(waiting):
            places = np.concatenate([places, waiting])
            accuracy = np.concatenate([accuracy, process.at(self._axes.points(waiting))[0]])
            points = self._axes.points(places)
            process = GaussianProcess(points, accuracy, process.shape)
        spent, allowed = costs_model.of(points)
        kept = np.flatnonzero(allowed & (accuracy >= floor))
        front = FrontSteps(spent[kept], accuracy[kept], cost.max(), floor, max(1.0, accuracy.max()))
        target = self._target(len(told), spent[kept])

        def worth(candidates: np.ndarray) -> np.ndarray:
            points = self._axes.points(self._axes.places(candidates))
            costs, within = costs_model.of(points)
            mean, deviation = process.at(points)
            if target is None:
                found = front.expected_gain(costs, mean, deviation)
            else:
                found = np.where((costs <= target) & (costs >= _ABOUT * target), mean, -1.0)
            return np.where(within, found, -2.0)

        members = places[kept[front.members]]
        return self._best(worth, self._axes.rows(members if len(members) else places))

    def _target(self, told: int, cost: np.ndarray) -> float | None:
        """At every third ask a random cost, for the most accurate configuration there; else None."""
        self._asks += 1
        if told < _EARLY or self._asks % _EVERY or not len(cost):
            return None
        return float(np.exp(self._rng.uniform(*np.log(np.maximum([cost.min(), cost.max()], _EXACT)))))

    def _some(self, told: list[Observation]) -> list[Observation]:
        """As many as a process can take: the front and a part of the rest."""
        if len(told) <= _MOST:
            return told
        values = np.array([each.values for each in told])
        front = steps(values[:, 1 - self._accuracy], values[:, self._accuracy])
        rest = self._rng.permutation(np.setdiff1d(np.arange(len(told)), front))
        return [told[i] for i in np.sort(np.concatenate([front, rest])[:_MOST])]

    def _places_of(self, told: Sequence[Observation]) -> np.ndarray:
        return np.array([self._place(each) for each in told])

    def _place(self, told: Observation) -> np.ndarray:
        if isinstance(told, OutsideResult):
            return self._axes.place(told.params)
        if told.number not in self._places:
            self._places[told.number] = self._axes.place(told.params)
        return self._places[told.number]

    def _process(self, points: Points, accuracy: np.ndarray) -> GaussianProcess:
        process = fitted(points, accuracy, self._shape, self._rng)
        self._shape = process.shape
        return process

    def _best(self, worth: Callable[[np.ndarray], np.ndarray], members: np.ndarray) -> dict[str, Any]:
        """The fresh configuration that is worth most: among random ones and some about the front, then among
        neighbors of the best."""
        about = members[self._rng.integers(0, len(members), _NEAR)]
        found = np.concatenate([self._axes.drawn(_DRAWN, self._rng), self._axes.near(about, self._rng)])
        worths = worth(found)
        for _ in range(_ROUNDS):
            best = np.argsort(-worths)[:_BEST]
            more = self._axes.near(np.repeat(found[best], _BEST, 0), self._rng)
            found = np.concatenate([found[best], more])
            worths = np.concatenate([worths[best], worth(more)])
        ordered = (self._axes.params(row) for row in found[np.argsort(-worths)])
        return next(filter(self._fresh, ordered), self._axes.params(found[0]))


class _CostModel:
    """What configurations cost, and whether they keep the limits on costs, as trials have shown."""

    def __init__(self, points: Points, cost: np.ndarray, told: Sequence[Observation]) -> None:
        names = sorted(told[-1].constraints.keys() - {"drop"})
        excess = [[each.constraints[name] for each in told] for name in names]
        self._prices = np.linalg.lstsq(_basis(points), np.array([cost, *excess]).T, rcond=None)[0]

    def of(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        """(N,) costs, and whether each keeps the limits."""
        cost, *excess = (_basis(points) @ self._prices).T
        return cost, np.all([each <= _EXACT for each in excess] or [np.full(len(cost), True)], axis=0)


def _basis(points: Points) -> np.ndarray:
    """(N, 3) what FLOPs are linear in: text, image tokens, and their attention among themselves."""
    return np.stack([np.ones(len(points)), points.shares.sum(1), (points.shares**2).sum(1)], 1)


def steps(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Which of N configurations are on their front, cheapest first."""
    order = np.lexsort((-accuracy, cost))
    best = np.maximum.accumulate(accuracy[order])
    members: np.ndarray = order[np.diff(best, prepend=-np.inf) > 0]
    return members


class FrontSteps:
    """The front of measured configurations as a staircase, with the reference point it is measured against.

    Args:
        cost, accuracy: (N,) of those that keep all limits.
        most: cost of the reference point,
        floor: its accuracy,
        ceiling: the accuracy that nothing can exceed.

    Attributes:
        members: which of the N are steps, cheapest first.
    """

    def __init__(self, cost: np.ndarray, accuracy: np.ndarray, most: float, floor: float, ceiling: float) -> None:
        self.members = steps(cost, accuracy)
        self._edges = np.concatenate([[-np.inf], cost[self.members], [np.inf]])
        self._levels = np.concatenate([[floor], accuracy[self.members]])
        self._most, self._ceiling = most, ceiling

    def expected_gain(self, cost: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Expected hypervolume improvement, (M,), of accuracies that are normal about `mean`, cut at the
        ceiling. Over each step's width a configuration adds what its accuracy exceeds the step by."""
        begin = np.maximum(self._edges[:-1], cost[:, None])
        widths = np.maximum(np.minimum(self._edges[1:], self._most) - begin, 0)
        heights = _excess(mean[:, None], deviation[:, None], self._levels)
        heights = heights - _excess(mean, deviation, self._ceiling)[:, None]
        gains: np.ndarray = (widths * heights).sum(1)
        return gains


def _excess(mean: np.ndarray, deviation: np.ndarray, level: Any) -> np.ndarray:
    """Of what a normal number exceeds a level by, or 0, the expectation."""
    z = (mean - level) / deviation
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    found: np.ndarray = deviation * (z * ndtr(z) + density)
    return found
