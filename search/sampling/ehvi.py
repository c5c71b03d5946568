"""A sampler that proposes the configuration from which the front is expected to gain most.

General samplers model every objective. Here only accuracy is uncertain: FLOPs are linear in the image tokens of each
layer and in their squares (Eq. 10), so three trials determine the cost of every configuration, and the expected
hypervolume improvement (EHVI) has a closed form. Written by hand: an ask takes 5 ms, and the driver needs no torch.
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
from search.sampling.gaussian_process import GaussianProcess, KernelParameters, Points, fit
from search.sampling.space import SearchSpace

_STARTUP = 3  # observations, below which proposals are random: as many as a cost has coefficients
_MAX_OBSERVATIONS = 128  # behind the surrogate; an ask's time grows with the square of their number
_EARLY, _EVERY = 30, 3  # after so many observations every third ask is for a random cost
_ABOUT = 0.85  # of that cost
_SETTLED = 48  # observations, of them some at random costs, before which exploring does not end
_SPENT = 0.001  # expected gain, as a part of the area above the reference point, below which it ends
_EXACT = 1e-9
_DRAWN, _NEAR, _BEST, _ROUNDS = 100, 100, 7, 4  # candidates: at random, about the front, and about the best

Acquisition = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class OutsideResult:
    """The result of a configuration outside the space, with the fields of an Optuna trial that the sampler reads."""

    params: dict[str, Any]
    values: list[float]
    constraints: dict[str, float]


Observation = FrozenTrial | OutsideResult


class EHVISampler(optuna.samplers.BaseSampler):
    """A sampler for accuracy against one cost. A running trial counts with its expected result.

    On a flat front the expected gain is zero. But what equals dense on the few questions of a search may be worse, so
    every third ask is for the most accurate configuration of a random cost: refining chooses from these, too.

    Args:
        accuracy: index of accuracy among the two objectives.
        is_new: whether parameters have an effect that no trial has had yet.
        outside: results outside the space, such as controls; the sequence may grow.
        floor: accuracy of the reference point: a configuration below it gains nothing.

    Attributes:
        spent: whether the last proposal by expected gain had next to nothing to gain.
    """

    def __init__(
        self,
        space: SearchSpace,
        accuracy: int,
        seed: int,
        is_new: Callable[[dict[str, Any]], bool],
        outside: Sequence[OutsideResult] = (),
        floor: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._floor = floor
        self._axes, self._accuracy, self._is_new, self._outside = Axes(space), accuracy, is_new, outside
        self._rng = np.random.default_rng(seed)
        self._kernel, self._asks = KernelParameters(), 0
        self._blas = ThreadpoolController()
        self._vectors: dict[int, np.ndarray] = {}
        self.spent = False

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return all parameters: they are sampled together."""
        return self._axes.distributions

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Raise ValueError: only a parameter outside the space is sampled alone."""
        raise ValueError(f"got the parameter {param_name!r}; expected only those of the space")

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next configuration's parameters."""
        with self._blas.limit(limits=1, user_api="blas"):  # the workers need the other cores
            return self._propose(study)

    def _propose(self, study: optuna.Study) -> dict[str, Any]:
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        observations: list[Observation] = [*self._outside, *complete]
        if len(observations) < _STARTUP:
            return self._axes.params(self._axes.draw(1, self._rng)[0])
        observations = self._thinned(observations)
        vectors, values = self._vectors_of(observations), np.array([one.values for one in observations])
        accuracy, cost = values[:, self._accuracy], values[:, 1 - self._accuracy]
        newest = observations[-1].constraints
        floor = max(self._floor(), accuracy[-1] + newest["drop"] if "drop" in newest else 0.0)
        points = self._axes.points(vectors)
        cost_model, process = _CostModel(points, cost, observations), self._fit(points, accuracy)

        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        pending = self._vectors_of([trial for trial in running if trial.params])
        if len(pending):
            vectors = np.concatenate([vectors, pending])
            accuracy = np.concatenate([accuracy, process.predict(self._axes.points(pending))[0]])
            points = self._axes.points(vectors)
            process = GaussianProcess(points, accuracy, process.kernel)
        costs, allowed = cost_model.predict(points)
        kept = np.flatnonzero(allowed & (accuracy >= floor))
        front = FrontSteps(costs[kept], accuracy[kept], cost.max(), floor, max(1.0, accuracy.max()))
        target = self._target(len(observations), costs[kept])
        acquisition = self._acquisition(front, process, cost_model, target)
        members = vectors[kept[front.members]]
        params, value = self._maximize(acquisition, self._axes.rows(members if len(members) else vectors))
        if target is None:
            area = cost.max() * (accuracy.max() - floor)
            self.spent = len(observations) >= _SETTLED and value < _SPENT * area
        return params

    def _acquisition(
        self, front: FrontSteps, process: GaussianProcess, cost_model: _CostModel, target: float | None
    ) -> Acquisition:
        """Return the acquisition function of rows: expected gain, or accuracy where a cost is the target."""

        def acquisition(rows: np.ndarray) -> np.ndarray:
            points = self._axes.points(self._axes.vectors(rows))
            costs, within = cost_model.predict(points)
            mean, deviation = process.predict(points)
            if target is None:
                values = front.expected_gain(costs, mean, deviation)
            else:
                values = np.where((costs <= target) & (costs >= _ABOUT * target), mean, -1.0)
            return np.where(within, values, -2.0)

        return acquisition

    def _target(self, observations: int, costs: np.ndarray) -> float | None:
        """Return a random cost at every third ask, else None."""
        self._asks += 1
        if observations < _EARLY or self._asks % _EVERY or not len(costs):
            return None
        return float(np.exp(self._rng.uniform(*np.log(np.maximum([costs.min(), costs.max()], _EXACT)))))

    def _thinned(self, observations: list[Observation]) -> list[Observation]:
        """Return as many as a process can take: the front and a random part of the rest."""
        if len(observations) <= _MAX_OBSERVATIONS:
            return observations
        values = np.array([one.values for one in observations])
        front = front_indices(values[:, 1 - self._accuracy], values[:, self._accuracy])
        rest = self._rng.permutation(np.setdiff1d(np.arange(len(observations)), front))
        return [observations[i] for i in np.sort(np.concatenate([front, rest])[:_MAX_OBSERVATIONS])]

    def _vectors_of(self, observations: Sequence[Observation]) -> np.ndarray:
        return np.array([self._vector(one) for one in observations])

    def _vector(self, observation: Observation) -> np.ndarray:
        if isinstance(observation, OutsideResult):
            return self._axes.vector(observation.params)
        if observation.number not in self._vectors:
            self._vectors[observation.number] = self._axes.vector(observation.params)
        return self._vectors[observation.number]

    def _fit(self, points: Points, accuracy: np.ndarray) -> GaussianProcess:
        process = fit(points, accuracy, self._kernel, self._rng)
        self._kernel = process.kernel
        return process

    def _maximize(self, acquisition: Acquisition, members: np.ndarray) -> tuple[dict[str, Any], float]:
        """Return the new configuration with the largest value, and this value; any where none is new.

        Candidates are random ones and some about the front, then neighbors of the best.
        """
        about = members[self._rng.integers(0, len(members), _NEAR)]
        rows = np.concatenate([self._axes.draw(_DRAWN, self._rng), self._axes.neighbors(about, self._rng)])
        values = acquisition(rows)
        for _ in range(_ROUNDS):
            best = np.argsort(-values)[:_BEST]
            more = self._axes.neighbors(np.repeat(rows[best], _BEST, 0), self._rng)
            rows = np.concatenate([rows[best], more])
            values = np.concatenate([values[best], acquisition(more)])
        ordered = ((self._axes.params(rows[i]), float(values[i])) for i in np.argsort(-values))
        return next((one for one in ordered if self._is_new(one[0])), (self._axes.params(rows[0]), 0.0))


class _CostModel:
    """Predicts the cost of configurations and whether they keep the limits on costs, by least squares over trials."""

    def __init__(self, points: Points, cost: np.ndarray, observations: Sequence[Observation]) -> None:
        names = sorted(observations[-1].constraints.keys() - {"drop"})
        excess = [[one.constraints[name] for one in observations] for name in names]
        self._coefficients = np.linalg.lstsq(_basis(points), np.array([cost, *excess]).T, rcond=None)[0]

    def predict(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        """Return (N,) costs, and whether each keeps the limits."""
        cost, *excess = (_basis(points) @ self._coefficients).T
        within = [values <= _EXACT for values in excess] or [np.full(len(cost), True)]
        return cost, np.all(within, axis=0)


def _basis(points: Points) -> np.ndarray:
    """Return what FLOPs are linear in, (N, 3): text, image tokens, and their attention among themselves."""
    return np.stack([np.ones(len(points)), points.shares.sum(1), (points.shares**2).sum(1)], 1)


def front_indices(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Return which of N configurations are on their front, cheapest first."""
    order = np.lexsort((-accuracy, cost))
    best = np.maximum.accumulate(accuracy[order])
    members: np.ndarray = order[np.diff(best, prepend=-np.inf) > 0]
    return members


class FrontSteps:
    """The front of measured configurations as a step function, with its reference point.

    Args:
        cost, accuracy: (N,) of those that keep all limits.
        max_cost: cost of the reference point.
        floor: its accuracy.
        ceiling: the accuracy that nothing can exceed.

    Attributes:
        members: which of the N are on the front, cheapest first.
    """

    def __init__(self, cost: np.ndarray, accuracy: np.ndarray, max_cost: float, floor: float, ceiling: float) -> None:
        self.members = front_indices(cost, accuracy)
        self._edges = np.concatenate([[-np.inf], cost[self.members], [np.inf]])
        self._levels = np.concatenate([[floor], accuracy[self.members]])
        self._max_cost, self._ceiling = max_cost, ceiling

    def expected_gain(self, cost: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Return the expected hypervolume improvement, (M,), of accuracies that are normal, cut at the ceiling.

        Over the width of each step a configuration adds what its accuracy exceeds the step by.
        """
        begin = np.maximum(self._edges[:-1], cost[:, None])
        widths = np.maximum(np.minimum(self._edges[1:], self._max_cost) - begin, 0)
        heights = _expected_excess(mean[:, None], deviation[:, None], self._levels)
        heights = heights - _expected_excess(mean, deviation, self._ceiling)[:, None]
        gains: np.ndarray = (widths * heights).sum(1)
        return gains


def _expected_excess(mean: np.ndarray, deviation: np.ndarray, level: Any) -> np.ndarray:
    """Return the expectation of max(0, x - level) of normal numbers x."""
    z = (mean - level) / deviation
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    excess: np.ndarray = deviation * (z * ndtr(z) + density)
    return excess
