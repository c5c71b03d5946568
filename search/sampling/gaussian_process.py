"""Accuracy over configurations as a Gaussian process: what to expect of one, and how surely.

Two configurations are alike if each layer sees about as many image tokens, chosen by the same criteria. The
kernel is Matérn 5/2 (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, Eq. 4.17).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

_LEAST_SHAPES, _MOST_SHAPES, _SHAPES_OF_ONE = 3, 12, 400  # tried at each fit, by the number of points
_CURVE = 30.0  # from 1 to 5 % of the tokens is about as far as from 20 to 90 %


@dataclass(frozen=True)
class Points:
    """N configurations.

    Attributes:
        shares: (N, layers) image tokens that each layer sees, of all.
        shallow, deep: (N, criteria) the criterion of each cut, one-hot times how much there is to choose.
    """

    shares: np.ndarray
    shallow: np.ndarray
    deep: np.ndarray

    def __len__(self) -> int:
        return len(self.shares)


@dataclass(frozen=True)
class KernelParameters:
    """Hyperparameters of a process.

    Attributes:
        length: distance over which accuracy changes.
        reach: depth, as a part of all layers, over which tokens cease to matter.
        shallow, deep: distance between two criteria of a cut.
        noise: variance that no distance explains, as a part of all.
    """

    length: float = 0.4
    reach: float = 1.0
    shallow: float = 0.1
    deep: float = 0.03
    noise: float = 1e-3

    def changed(self, rng: np.random.Generator) -> KernelParameters:
        """With another value for one of them."""
        name = str(rng.choice(list(_CHOICES)))
        return KernelParameters(**asdict(self) | {name: float(rng.choice(_CHOICES[name]))})


_CHOICES: dict[str, tuple[float, ...]] = {
    "length": (0.1, 0.2, 0.4, 0.8, 1.6),
    "reach": (0.15, 0.4, 1.0, 10.0),
    "shallow": (0.0, 0.03, 0.1, 0.3, 1.0),
    "deep": (0.0, 0.03, 0.1, 0.3, 1.0),
    "noise": (1e-4, 1e-3, 1e-2, 1e-1),
}


class GaussianProcess:
    """A Gaussian process with a constant mean through N points' accuracies."""

    def __init__(self, points: Points, values: np.ndarray, shape: KernelParameters) -> None:
        self.shape, self._features = shape, _features(points, shape)
        matrix = _kernel(self._features, self._features)
        matrix[np.diag_indices(len(values))] += shape.noise
        self._factor = cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
        ones = np.ones(len(values))
        both = np.stack([values, ones], 1)
        of_values, of_ones = cho_solve((self._factor, True), both, check_finite=False).T
        self._mean = ones @ of_values / (ones @ of_ones)
        self._weights = of_values - self._mean * of_ones
        self._variance = max(float((values - self._mean) @ self._weights) / len(values), 1e-8)
        determinant = 2 * np.log(np.diag(self._factor)).sum()
        # Rasmussen and Williams, Eq. 2.30, at the variance that makes it largest.
        self.likelihood = float(-(len(values) * math.log(self._variance) + determinant) / 2)

    def at(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the accuracy, (N,) each."""
        near = _kernel(_features(points, self.shape), self._features)
        seen = solve_triangular(self._factor, near.T, lower=True, check_finite=False)
        left = np.maximum(1 - (seen**2).sum(0), 1e-9)
        return self._mean + near @ self._weights, np.sqrt(self._variance * left)


def _features(points: Points, shape: KernelParameters) -> np.ndarray:
    """(N, layers + criteria) places whose distances the kernel takes."""
    layers = points.shares.shape[1]
    weights = np.exp(-np.arange(layers) / (shape.reach * layers))
    profile = np.log1p(_CURVE * points.shares) / math.log1p(_CURVE)
    parts = (profile * np.sqrt(weights / weights.sum()), points.shallow * shape.shallow, points.deep * shape.deep)
    return np.concatenate(parts, 1) / shape.length


def _kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(len(left), len(right)) correlations."""
    d = left @ (-2 * right.T)
    d += (left**2).sum(1)[:, None]
    d += (right**2).sum(1)
    np.maximum(d, 0, out=d)
    d *= 5
    np.sqrt(d, out=d)
    found: np.ndarray = np.exp(-d)
    found *= 1 + d * (1 + d / 3)
    return found


def fitted(points: Points, values: np.ndarray, shape: KernelParameters, rng: np.random.Generator) -> GaussianProcess:
    """The likeliest of a process of this shape and some others, each beside the best so far: more of them
    while there are few points, when a process is quickly computed and its shape least known."""
    best = GaussianProcess(points, values, shape)
    for _ in range(min(_MOST_SHAPES, max(_LEAST_SHAPES, _SHAPES_OF_ONE // len(values)))):
        other = GaussianProcess(points, values, best.shape.changed(rng))
        best = max(best, other, key=lambda process: process.likelihood)
    return best
