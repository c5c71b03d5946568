"""A Gaussian process of accuracy over configurations.

Two configurations are alike if each layer sees about as many image tokens, chosen by the same criteria. The kernel is
Matérn 5/2 (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, Eq. 4.17). Written by hand: a
fit and a prediction take milliseconds, and the driver needs no torch.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

_MIN_TRIES, _MAX_TRIES, _TRIES_OF_ONE = 3, 12, 400  # kernel parameters tried at each fit, by the number of points
_CURVE = 30.0  # from 1 to 5 % of the tokens is about as far as from 20 to 90 %


@dataclass(frozen=True)
class Points:
    """N configurations.

    Attributes:
        shares: (N, layers) part of the image tokens that each layer sees.
        shallow, deep: (N, criteria) the criterion of each cut, one-hot times how much there is to choose.
    """

    shares: np.ndarray
    shallow: np.ndarray
    deep: np.ndarray

    def __len__(self) -> int:
        return len(self.shares)


@dataclass(frozen=True)
class KernelParameters:
    """Hyperparameters of a Gaussian process.

    Attributes:
        length_scale: distance over which accuracy changes.
        depth_scale: depth, as a part of all layers, over which tokens cease to matter.
        shallow, deep: distance between two criteria of a cut.
        noise_variance: variance that no distance explains, as a part of all.
    """

    length_scale: float = 0.4
    depth_scale: float = 1.0
    shallow: float = 0.1
    deep: float = 0.03
    noise_variance: float = 1e-3

    def varied(self, rng: np.random.Generator) -> KernelParameters:
        """Return a copy in which one of them has another value."""
        name = str(rng.choice(list(_CHOICES)))
        return KernelParameters(**asdict(self) | {name: float(rng.choice(_CHOICES[name]))})


_CHOICES: dict[str, tuple[float, ...]] = {
    "length_scale": (0.1, 0.2, 0.4, 0.8, 1.6),
    "depth_scale": (0.15, 0.4, 1.0, 10.0),
    "shallow": (0.0, 0.03, 0.1, 0.3, 1.0),
    "deep": (0.0, 0.03, 0.1, 0.3, 1.0),
    "noise_variance": (1e-4, 1e-3, 1e-2, 1e-1),
}


class GaussianProcess:
    """A Gaussian process with a constant mean, conditioned on the accuracies of N points."""

    def __init__(self, points: Points, values: np.ndarray, kernel: KernelParameters) -> None:
        self.kernel, self._features = kernel, _features(points, kernel)
        matrix = _correlations(self._features, self._features)
        matrix[np.diag_indices(len(values))] += kernel.noise_variance
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

    def predict(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the accuracy, (N,) each."""
        near = _correlations(_features(points, self.kernel), self._features)
        solved = solve_triangular(self._factor, near.T, lower=True, check_finite=False)
        left = np.maximum(1 - (solved**2).sum(0), 1e-9)
        return self._mean + near @ self._weights, np.sqrt(self._variance * left)


def _features(points: Points, kernel: KernelParameters) -> np.ndarray:
    """Return the coordinates whose distances the kernel takes, (N, layers + criteria)."""
    layers = points.shares.shape[1]
    weights = np.exp(-np.arange(layers) / (kernel.depth_scale * layers))
    profile = np.log1p(_CURVE * points.shares) / math.log1p(_CURVE)
    parts = (profile * np.sqrt(weights / weights.sum()), points.shallow * kernel.shallow, points.deep * kernel.deep)
    return np.concatenate(parts, 1) / kernel.length_scale


def _correlations(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the kernel's values, (len(left), len(right))."""
    d = left @ (-2 * right.T)
    d += (left**2).sum(1)[:, None]
    d += (right**2).sum(1)
    np.maximum(d, 0, out=d)
    d *= 5
    np.sqrt(d, out=d)
    values: np.ndarray = np.exp(-d)
    values *= 1 + d * (1 + d / 3)
    return values


def fit(points: Points, values: np.ndarray, kernel: KernelParameters, rng: np.random.Generator) -> GaussianProcess:
    """Return the likeliest of a process with this kernel and some with varied ones.

    More are tried while there are few points: then a process is cheap and its kernel least known.
    """
    best = GaussianProcess(points, values, kernel)
    for _ in range(min(_MAX_TRIES, max(_MIN_TRIES, _TRIES_OF_ONE // len(values)))):
        other = GaussianProcess(points, values, best.kernel.varied(rng))
        best = max(best, other, key=lambda process: process.likelihood)
    return best
