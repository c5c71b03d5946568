"""qLogNEHVI (Ament et al., NeurIPS 2023) of BoTorch over the settings of a table, whose costs are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from botorch import fit_gpytorch_mll
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.models import SingleTaskGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.models.model import ModelList
from botorch.models.transforms.input import FilterFeatures
from botorch.models.transforms.outcome import Standardize
from botorch.posteriors.torch import TorchPosterior
from botorch.sampling.get_sampler import get_sampler
from gpytorch.mlls import ExactMarginalLogLikelihood

from bench.certify.population import TablePopulation
from himap import PruningConfig
from search.sampling.problem import REFERENCE

_START, _SAMPLES = 10, 64  # random settings behind the baselines; draws of the acquisition function


def explore(population: TablePopulation, seed: int, trials: int, accuracy: Callable[[int], float]) -> None:
    """Measure the baselines, random settings, and then what qLogNEHVI proposes, `trials` in all.

    Args:
        accuracy: measures a row, 0 to 1.
    """
    rng = np.random.default_rng([seed, 3])
    begin = [population.rows[population.effect(config)] for _, config in population.baselines]
    begin += rng.permutation(len(population.costs)).tolist()
    measured = {row: accuracy(row) for row in list(dict.fromkeys(begin))[: len(population.baselines) + _START]}
    points = torch.tensor(setting_points(population))
    while len(measured) < min(trials, len(points)):
        row = propose(points, measured, 1000 * seed + len(measured))
        measured[row] = accuracy(row)


def setting_points(population: TablePopulation) -> np.ndarray:
    """Return depths and ratios, criteria one-hot, and behind them the cost: (rows, features + 1)."""
    configs: Sequence[PruningConfig] = population.table.configs
    columns = [[c.k1, c.r1, c.k2, c.r2] for c in configs]
    numbers = np.array(columns, float) / np.max(columns, 0).clip(min=1)
    criteria = [[f"shallow {c.phi_shallow}", f"deep {c.phi_deep}"] for c in configs]
    names = sorted({name for pair in criteria for name in pair})
    one_hot = [[float(name in pair) for name in names] for pair in criteria]
    return np.concatenate([numbers, one_hot, population.costs[:, None]], 1)


def propose(points: torch.Tensor, measured: dict[int, float], seed: int) -> int:
    """Return the row of `points`, not yet measured, with the largest acquisition value; row 0 is dense."""
    rows = list(measured)
    x, y = points[rows], torch.tensor([[measured[row]] for row in rows], dtype=points.dtype)
    cost = points.shape[1] - 1
    accuracy = SingleTaskGP(
        x, y, outcome_transform=Standardize(1), input_transform=FilterFeatures(torch.arange(cost), True)
    )
    fit_gpytorch_mll(ExactMarginalLogLikelihood(accuracy.likelihood, accuracy))
    model = ModelList(accuracy, GenericDeterministicModel(lambda at: -at[..., -1:]))
    acquisition = qLogNoisyExpectedHypervolumeImprovement(
        model,
        ref_point=[measured[0] - REFERENCE / 100, -1.0],
        X_baseline=x,
        sampler=get_sampler(cast(TorchPosterior, model.posterior(x)), torch.Size([_SAMPLES]), seed=seed),
        prune_baseline=True,
        cache_root=False,
    )
    left = [row for row in range(len(points)) if row not in measured]
    with torch.no_grad():
        return left[int(acquisition(points[left].unsqueeze(1)).argmax())]
