"""Ways from a budget of answers to a delivered configuration for each margin."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bench.certify.population import BUDGET, LEVEL, MARGINS, POOL, SEARCHED, Questions, TablePopulation
from bench.endless import endless
from objectives.statistics.estimates import Interval, interval
from objectives.statistics.intervals import difference_interval
from search.certifying.chance import Counts
from search.certifying.evidence import bet_weights, score_p_value
from search.certifying.refine import Aim, Candidates
from search.certifying.study_certifier import Plan, StudyCertifier
from search.config import SearchConfig
from search.sampling.problem import REFERENCE, Goals
from search.studies.study import Study
from storage.pareto import front
from storage.records import Origin, Trial

_MOST, _SCREENED, _CONFIRMED = 16, 500, 500  # of the export before certificates
Delivered = dict[float, int | None]  # row by margin; None for dense
Search = Callable[[TablePopulation, Questions, int], dict[int, Trial]]


@dataclass(frozen=True)
class Result:
    """What one run delivered.

    Attributes:
        delivered: row by margin, None for dense.
        certified: margins with a certificate.
        answers: that were asked.
        seconds: of everything but the answers.
        front: rows that the way knows as its front.
    """

    delivered: Delivered
    certified: tuple[float, ...]
    answers: int
    seconds: float
    front: list[int]


def explored(
    population: TablePopulation,
    questions: Questions,
    seed: int,
    sampler: str,
    trials: int = BUDGET,
    reference: float = 100.0,
) -> dict[int, Trial]:
    """Return the trials of a search on the first validation questions, by row; dense is row 0."""
    study = Study(
        population.table.space, population.baselines, [10_000], sampler, seed, goals=Goals(reference=reference)
    )
    found: dict[int, Trial] = {}
    while len(found) < trials and (candidate := study.ask()) is not None:
        row = population.rows[population.effect(candidate.config)]
        found[row] = _trial(population, questions, row, candidate.number, candidate.origin)
        study.tell(candidate, found[row])
    return found


def _trial(population: TablePopulation, questions: Questions, row: int, number: int, origin: Origin) -> Trial:
    scores = questions.ask("validation", 0, SEARCHED, row)
    cost, estimate = float(population.costs[row]), interval(scores.tolist())
    return Trial(
        number,
        "complete",
        origin,
        population.table.configs[row],
        accuracy=estimate.mean,
        accuracy_low=estimate.low,
        accuracy_high=estimate.high,
        flops=1e9 * cost,
        flops_ratio=cost,
        n=SEARCHED,
        scores=tuple(scores.tolist()),
    )


def explored_by_botorch(population: TablePopulation, questions: Questions, seed: int) -> dict[int, Trial]:
    """Return the trials of a search by qLogNEHVI, by row."""
    from bench.certify.botorch_search import explore  # BoTorch is only needed for this way

    found: dict[int, Trial] = {}

    def accuracy(row: int) -> float:
        found[row] = _trial(population, questions, row, len(found), "sampler")
        return found[row].accuracy

    explore(population, seed, BUDGET, accuracy)
    return found


class _Book:
    """An answer book without a store."""

    def __init__(self) -> None:
        self._pieces: dict[str, dict[int, list[tuple[int, np.ndarray]]]] = {"validation": {}, "test": {}}

    def answers(self, split: str) -> Mapping[int, Sequence[tuple[int, np.ndarray]]]:
        return self._pieces[split]

    def add(self, split: str, start: int, scores: Mapping[int, np.ndarray]) -> None:
        for number, values in scores.items():
            self._pieces[split].setdefault(number, []).append((start, values))

    def register(self, plan: Plan) -> Plan:
        return plan

    def stored(self, margins: Sequence[float], level: float, units: np.ndarray) -> Plan | None:
        return None


class _WholeFront(StudyCertifier):
    """Tests the whole front within each margin, from expensive to cheap, in place of a chain by expected saving."""

    def _planned(self, units: np.ndarray) -> Plan:
        known = self.posterior_counts()
        losses = (known.counts.lost - known.counts.gained) / known.counts.n
        order = sorted(range(len(losses)), key=lambda i: (known.costs[i], losses[i]))
        best = np.minimum.accumulate([np.inf, *losses[order]])
        members = [known.numbers[i] for place, i in enumerate(order) if losses[i] < best[place]]
        return replace(super()._planned(units), chains=dict.fromkeys(MARGINS, tuple(reversed(members))))


class _Observed(Counts):
    """Counts whose rates are taken as observed, with no prior and no spread."""

    def draw(self, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        shape = (draws, len(self.n))
        return np.broadcast_to(self.lost / self.n, shape), np.broadcast_to(self.gained / self.n, shape)


class _ObservedMeans(StudyCertifier):
    """Refines and plans by the observed means in place of posteriors, and still gives up by posteriors."""

    def posterior_counts(self) -> Candidates:
        of = super().posterior_counts()
        return replace(of, counts=_Observed(**vars(of.counts)))


class _Bets(StudyCertifier):
    """Tests by bets in place of looks."""

    def _planned(self, units: np.ndarray) -> Plan:
        plan, weights = super()._planned(units), {}
        for margin, chain in plan.chains.items():
            losses = self._validation_losses(chain[-1]) if chain else np.zeros(0)
            weights[margin] = bet_weights(losses, np.arange(len(losses)), 1, margin, len(units))
        return replace(plan, weights=weights)


def ours(
    population: TablePopulation,
    seed: int,
    *,
    reference: float = REFERENCE,
    refine: bool = True,
    ends: bool = True,
    certifier_class: type[StudyCertifier] = StudyCertifier,
) -> Result:
    """Return what a search delivers: explore, refine, certify.

    Args:
        refine: False spends the whole budget on trials.
        ends: whether exploring ends where next to nothing is left to gain.
    """
    questions, begun = Questions(population, seed), time.process_time()
    trials = SearchConfig("", BUDGET).trials if refine else BUDGET
    with nullcontext() if ends and refine else endless():
        found = explored(population, questions, seed, "ehvi", trials, reference)
    certifier = certifier_class(
        _Book(),
        Aim(MARGINS, LEVEL, POOL),
        0,
        {row: float(population.costs[row]) for row in found},
        {row: np.array(trial.scores) for row, trial in found.items()},
        np.arange(60_000),
        np.arange(POOL),
        answers_left=(BUDGET - len(found)) * SEARCHED if refine else 0,
        seed=seed,
    )
    while (chunk := certifier.next()) is not None:
        certifier.take(chunk, {row: questions.ask(chunk.split, chunk.start, chunk.stop, row) for row in chunk.numbers})
    verdicts = certifier.verdicts()
    seconds, known = time.process_time() - begun, certifier.posterior_counts()
    means = (known.counts.lost - known.counts.gained) / known.counts.n
    estimates = dict(zip(known.numbers, means.tolist(), strict=True))
    return Result(
        {verdict.margin: verdict.number for verdict in verdicts},
        tuple(verdict.margin for verdict in verdicts if verdict.number is not None),
        sum(questions.answers.values()),
        seconds,
        _front({0: 0.0, **estimates}, population),
    )


def pareto_testing(population: TablePopulation, seed: int, search: Search) -> Result:
    """Return what Pareto Testing delivers after another search on the same number of answers.

    The front of the validation estimates is ordered, for each margin, by its p-values on the validation questions, and
    tested in this order on the whole pool until the first that is not rejected (Laufer-Goldshtein et al., ICLR 2023).
    The test is our score test, each margin at a third of the level.
    """
    questions, begun = Questions(population, seed), time.process_time()
    found = search(population, questions, seed)
    members = [
        row for row, trial in found.items() if trial in front(list(found.values())) and population.costs[row] < 1
    ]
    base = np.array(found[0].scores)
    delivered: Delivered = {}
    tested: dict[int, np.ndarray] = {}
    for margin in MARGINS:
        order = sorted(members, key=lambda row: (_p_value(base - np.array(found[row].scores), margin), row))
        certified = []
        for row in order:
            if 0 not in tested:
                tested[0] = questions.ask("test", 0, POOL, 0)
            if row not in tested:
                tested[row] = questions.ask("test", 0, POOL, row)
            if _p_value(tested[0] - tested[row], margin) > LEVEL / len(MARGINS):
                break
            certified.append(row)
        delivered[margin] = min(certified, key=lambda row: population.costs[row], default=None)
    estimates = {row: found[0].accuracy - trial.accuracy for row, trial in found.items()}
    seconds = time.process_time() - begun
    kept = tuple(margin for margin, row in delivered.items() if row is not None)
    return Result(delivered, kept, sum(questions.answers.values()), seconds, _front(estimates, population))


def present(population: TablePopulation, seed: int) -> Result:
    """Return what search and export delivered before there were certificates (commit 6f64154).

    200 trials with the hypervolume above accuracy 0; up to 16 candidates and the baselines on 500 further validation
    questions; the cheapest within each margin, by its interval or else its estimate, on 500 test questions; certified
    where the two-sided 95 % interval stays within the margin. What is not certified was delivered all the same.
    """
    questions, begun = Questions(population, seed), time.process_time()
    with endless():
        found = explored(population, questions, seed, "ehvi")
    dense, by_number = found[0], {trial.number: row for row, trial in found.items()}
    screened: dict[int, Interval] = {}
    base = questions.ask("validation", SEARCHED, SEARCHED + _SCREENED, 0)
    for trial in _worth_screening(list(found.values()), dense):
        row = by_number[trial.number]
        scores = questions.ask("validation", SEARCHED, SEARCHED + _SCREENED, row)
        screened[row] = difference_interval(scores.tolist(), base.tolist(), graded=True)
        if all(any(one.low > -margin for one in screened.values()) for margin in MARGINS):
            break
    delivered: Delivered = {}
    certified: list[float] = []
    tested: dict[int, np.ndarray] = {0: questions.ask("test", 0, _CONFIRMED, 0)}
    for margin in MARGINS:
        sure = [row for row, one in screened.items() if one.low > -margin]
        likely = [row for row, one in screened.items() if one.mean >= -margin]
        best = next(iter([*sure, *likely]), None)
        delivered[margin] = best
        if best is not None:
            if best not in tested:
                tested[best] = questions.ask("test", 0, _CONFIRMED, best)
            if difference_interval(tested[best].tolist(), tested[0].tolist()).low > -margin:
                certified.append(margin)
    seconds = time.process_time() - begun
    estimates = {row: dense.accuracy - trial.accuracy for row, trial in found.items()}
    return Result(delivered, tuple(certified), sum(questions.answers.values()), seconds, _front(estimates, population))


def _worth_screening(trials: Sequence[Trial], dense: Trial) -> list[Trial]:
    able = [t for t in trials if t.flops < dense.flops and t.accuracy_high >= dense.accuracy - MARGINS[-1]]
    edges = np.geomspace(min((t.flops for t in able), default=1.0), dense.flops, _MOST + 1)
    parts: dict[int, Trial] = {}
    for trial in sorted(able, key=lambda t: (-t.accuracy, t.flops, t.number)):
        parts.setdefault(int(np.searchsorted(edges, trial.flops, side="right")), trial)
    chosen = {trial.number: trial for trial in [*parts.values(), *(t for t in able if t.is_baseline)]}
    return sorted(chosen.values(), key=lambda t: (t.flops, t.number))


def _p_value(losses: np.ndarray, margin: float) -> float:
    return score_p_value(float(losses.clip(min=0).sum()), float((-losses).clip(min=0).sum()), len(losses), margin)


def _front(losses: Mapping[int, float], population: TablePopulation) -> list[int]:
    """Return the rows that no other dominates, by estimated losses."""
    best, members = np.inf, []
    for row in sorted(losses, key=lambda row: (population.costs[row], losses[row])):
        if losses[row] < best:
            best = losses[row]
            members.append(row)
    return members


WAYS: dict[str, Callable[[TablePopulation, int], Result]] = {
    "ours": ours,
    "present": present,
    "random + Pareto Testing": partial(pareto_testing, search=partial(explored, sampler="random")),
    "tpe + Pareto Testing": partial(pareto_testing, search=partial(explored, sampler="tpe")),
    "ours without refining": partial(ours, refine=False),
    "ours, reference at dense - 5": partial(ours, reference=5.0),
    "ours, reference at accuracy 0": partial(ours, reference=100.0),
    "ours, exploring to the last trial": partial(ours, ends=False),
    "ours, the whole front in place of chains": partial(ours, certifier_class=_WholeFront),
    "ours, observed means in place of posteriors": partial(ours, certifier_class=_ObservedMeans),
    "ours, bets in place of looks": partial(ours, certifier_class=_Bets),
    "gp + Pareto Testing": partial(pareto_testing, search=partial(explored, sampler="gp")),
    "qLogNEHVI + Pareto Testing": partial(pareto_testing, search=explored_by_botorch),
}
