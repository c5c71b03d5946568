"""The chance that a configuration will be certified, by the answers so far.

Questions that only dense, or only the configuration, answers right are counted; their rates have independent gamma
posteriors. Pseudo-counts stand for about 25 questions: half a question lost, and a quarter gained or less, as dense
leaves few questions to gain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from storage.refined import PRIOR_LOST, PRIOR_N, prior_gained

_DRAWS = 400  # of a posterior, for a mean chance


@dataclass(frozen=True)
class Counts:
    """What is known of M configurations: answers lost and gained against dense among `n` questions, each (M,).

    Partial credits count as parts of an answer. `effect` is the design effect of questions that share images, by which
    all counts are divided; `wrong` is the share of questions that dense answers wrong.
    """

    lost: np.ndarray
    gained: np.ndarray
    n: np.ndarray
    wrong: float
    effect: float = 1.0

    def draw(self, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return rates of lost and gained answers drawn from the posterior, (draws, M) each."""
        lost, gained, n = (values / self.effect for values in (self.lost, self.gained, self.n))
        scale, prior = 1 / (n + PRIOR_N), prior_gained(self.wrong)
        size = (draws, len(n))
        return rng.gamma(lost + PRIOR_LOST, scale, size), rng.gamma(gained + prior, scale, size)


def chance(lost: np.ndarray, gained: np.ndarray, margin: float, pool: float, level: float) -> np.ndarray:
    """Return the chance to certify a margin on a fresh pool, where answers are lost and gained at these rates.

    Args:
        pool: independent questions.
        level: of the test.
    """
    spread = np.sqrt(np.maximum(lost + gained, margin * (1 - margin)) / pool)
    chances: np.ndarray = ndtr((margin - (lost - gained)) / spread + ndtri(level))
    return chances


def remaining_chance(
    counts: Counts, asked: tuple[float, float, int], margin: float, pool: int, level: float, rng: np.random.Generator
) -> float:
    """Return the chance that the whole pool will certify one configuration, of which a part is asked.

    Args:
        counts: of that configuration, M = 1, on all questions: validation and the asked part of the pool.
        asked: answers lost and gained among the questions of the pool so far, and their number.
        pool: questions of the whole pool.
    """
    lost, gained = (rates[:, 0] for rates in counts.draw(_DRAWS, rng))
    before_lost, before_gained, n = asked
    left = max(0, pool - n)
    rate = np.maximum(lost + gained, margin * (1 - margin))
    needed = -ndtri(level) * np.sqrt(pool * counts.effect * rate)  # by which the loss must stay below the margin
    expected = pool * margin - (before_lost - before_gained) - left * (lost - gained)
    if not left:
        return float((expected >= needed).mean())
    return float(ndtr((expected - needed) / np.sqrt(left * counts.effect * rate)).mean())
