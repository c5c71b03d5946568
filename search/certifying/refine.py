"""Refining: which configurations answer further validation questions before the plan of the test is made.

The few questions of a search favor lucky configurations. Rounds of fresh questions, for those that may still become a
member of a chain, replace luck by knowledge; they end when knowing the rates exactly would hardly save more, or when
all that could matter have answered half as many questions as the test has, and at least 300.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.certifying.chains import best_chain, chain_value
from search.certifying.chance import Counts, chance
from search.certifying.evidence import EXCESS, Evidence, looks

ROUND = 100  # questions
_DRAWS = 60  # of rates, each with its best chain
_LEAST_SHARE = 0.3  # of these chains, in which a configuration still in play occurs
_ROUNDS = 4  # that the answers left should suffice for
_FEWEST, _MOST = 6, 12  # configurations of a round
_KNOWN = 300  # answers of a member of a planned chain, before which refining does not end
_ENOUGH = 0.5  # of the pool: a configuration with as many answers and `_KNOWN` is not asked again
_SPENT = 0.03  # of dense's cost: expected saving by knowing all rates exactly, below which refining ends


@dataclass(frozen=True)
class Aim:
    """What is to be certified: margins of 1, the level of all together, and the size of the pool of test questions."""

    margins: tuple[float, ...]
    level: float
    pool: int

    @property
    def margin_level(self) -> float:
        """The level that each margin begins with."""
        return self.level / len(self.margins)

    @property
    def test_level(self) -> float:
        """The level of the last look, see `looks`."""
        return self.margin_level * looks(self.pool)[-1].share / EXCESS


@dataclass(frozen=True)
class Candidates:
    """Configurations cheaper than dense, with their answers paired with dense's.

    Attributes:
        numbers: of their trials.
        costs: (M,) as parts of dense's.
        counts: of all validation questions that each answered.
    """

    numbers: tuple[int, ...]
    costs: np.ndarray
    counts: Counts


def candidates(costs: Mapping[int, float], scores: Mapping[int, np.ndarray], dense: int, effect: float) -> Candidates:
    """Return the candidates of a study.

    Args:
        costs: of each trial, as parts of dense's.
        scores: of each trial on the first questions in their order, dense's at least as many; NaN where not asked.
        dense: dense's trial.
        effect: the design effect of questions that share images.
    """
    base = scores[dense]
    numbers = tuple(number for number in scores if number != dense and costs[number] < 1)
    losses = [base[: len(scores[number])] - scores[number] for number in numbers]
    lost = np.array([np.nansum(values.clip(min=0)) for values in losses])
    gained = np.array([np.nansum((-values).clip(min=0)) for values in losses])
    n = np.array([float(np.isfinite(values).sum()) for values in losses])
    counts = Counts(lost, gained, n, wrong=float(1 - np.nanmean(base)), effect=effect)
    return Candidates(numbers, np.array([costs[number] for number in numbers]), counts)


def round_members(of: Candidates, aim: Aim, answers_left: int, rng: np.random.Generator) -> list[int]:
    """Return the trials that answer the next round of questions; none where it would not pay."""
    if not of.numbers:
        return []
    lost, gained = of.counts.draw(_DRAWS, rng)
    occurs, regret, members = np.zeros(len(of.numbers)), 0.0, set[int]()
    for margin in aim.margins:
        drawn = chance(lost, gained, margin, aim.pool / of.counts.effect, aim.test_level)
        planned = best_chain(drawn.mean(0), of.costs)
        members.update(planned)
        once = np.zeros(len(of.numbers))
        for chances in drawn:
            best = best_chain(chances, of.costs)
            once[best] += 1
            regret += chain_value(best, chances, of.costs) - chain_value(planned, chances, of.costs)
        occurs = np.maximum(occurs, once)
    unknown = {i for i in members if of.counts.n[i] < _KNOWN}
    if regret / (_DRAWS * len(aim.margins)) < _SPENT:
        chosen = unknown
    else:
        most = min(_MOST, max(_FEWEST, answers_left // (_ROUNDS * ROUND) - 1))
        order = [int(i) for i in np.argsort(-occurs, kind="stable")]
        often = {i for i in order if occurs[i] >= _LEAST_SHARE * _DRAWS}
        chosen = set(sorted(unknown | often or order[:_FEWEST], key=lambda i: (i not in unknown, -occurs[i]))[:most])
    enough = max(_KNOWN, _ENOUGH * aim.pool)
    found = sorted(of.numbers[i] for i in chosen if of.counts.n[i] < enough)
    return found if found and (len(found) + 1) * ROUND <= answers_left else []


def design_effect(losses: Sequence[np.ndarray], units: np.ndarray) -> float:
    """Return by which factor questions that share images raise the variance of a mean loss, at least 1.

    Args:
        losses: (n,) of some configurations, on the first questions.
        units: (n,) number of each question's unit.
    """
    together = alone = 0.0
    for values in losses:
        known = values - values.mean()
        alone += float((known**2).sum())
        together += float((np.bincount(units[: len(known)], known) ** 2).sum())
    return max(1.0, together / alone) if alone > 0 else float(Evidence(units).largest)
