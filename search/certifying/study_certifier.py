"""Refine and certify one study: which trials answer which questions next, and what follows from the answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from search.certifying.chains import planned_chains
from search.certifying.chance import Counts, remaining_chance
from search.certifying.evidence import Evidence, bet_weights
from search.certifying.refine import ROUND, Aim, Candidates, candidates, design_effect, round_members
from search.certifying.sequence import Certification, MarginState

VALIDATION, TEST = "validation", "test"
_PIECE, _MEMBERS = 50, 12  # questions and configurations of a chunk at most: all workers have some, a lost one is cheap
_STEP = 200  # test questions between two looks at whether a configuration still has a chance
_AHEAD = 0.3  # chance to be tested, from which on a configuration answers the questions that are prepared anyway


@dataclass(frozen=True)
class Chunk:
    """Questions `start` to `stop` of the validation or the test order, to be answered by these trials."""

    split: str
    start: int
    stop: int
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What is tested, fixed before the first test question is asked.

    Attributes:
        level: of all margins together.
        units: of the questions of the pool, see `Evidence`.
        chains: by margin, trials from expensive to cheap.
        weights: of the bets, by margin; empty where looks suffice.
        start: where the pool begins in the order of the test questions.
        digest: of the registered plan.
    """

    level: float
    units: np.ndarray
    chains: Mapping[float, Sequence[int]]
    weights: Mapping[float, tuple[float, ...]]
    start: int = 0
    digest: str = ""

    @property
    def evidence(self) -> Evidence:
        """The test of the plan."""
        return Evidence(self.units, self.weights)


class AnswerBook(Protocol):
    """Keeps a study's answers and plans."""

    def answers(self, split: str) -> Mapping[int, Sequence[tuple[int, np.ndarray]]]:
        """Return each trial's answered pieces: start and scores."""

    def add(self, split: str, start: int, scores: Mapping[int, np.ndarray]) -> None:
        """Keep the scores of some trials from question `start` on."""

    def register(self, plan: Plan) -> Plan:
        """Keep a plan and return it with its pool and its level, by what was tested on these questions before."""

    def stored(self, margins: Sequence[float], level: float, units: np.ndarray) -> Plan | None:
        """Return a plan of these margins, level and questions that is to be taken as it is; None to make one."""


@dataclass(frozen=True)
class Verdict:
    """What the test says of one margin.

    Attributes:
        number: of the cheapest certified trial; None where nothing cheaper than dense is certified.
        bound: loss (of 1) that is certified not to be exceeded: by that trial, else by `tried`.
        tried: the trial whose test ended the chain first, where nothing is certified.
        n: test questions that the trial answered.
        level: of the test that decided.
        reason: why nothing is certified; "" where something is.
    """

    margin: float
    number: int | None
    bound: float
    tried: int | None
    n: int
    level: float
    reason: str = ""


class StudyCertifier:
    """Hands out chunks of questions, takes their answers and draws the conclusions.

    Everything follows from the answers in the book, so that a new certifier on the same book goes on where an earlier
    one was stopped.

    Args:
        costs: of all complete trials, as parts of dense's.
        searched: their scores on the first validation questions, NaN where not asked.
        validation_units, test_units: numbers of the units of all questions that there are, in their order.
        answers_left: that refining may spend.
    """

    def __init__(
        self,
        book: AnswerBook,
        aim: Aim,
        dense: int,
        costs: Mapping[int, float],
        searched: Mapping[int, np.ndarray],
        validation_units: np.ndarray,
        test_units: np.ndarray,
        *,
        answers_left: int,
        seed: int = 0,
    ) -> None:
        self._book, self._aim, self._dense, self._costs = book, aim, dense, costs
        self._validation = {number: np.asarray(scores, float) for number, scores in searched.items()}
        self._searched = max(len(scores) for scores in searched.values())
        self._units, self._test_units = validation_units, test_units
        self._seed = seed
        for number, pieces in book.answers(VALIDATION).items():
            for start, scores in pieces:
                self._extend(number, start, scores)
                answers_left -= len(scores)
        self._left = answers_left
        self._test: dict[int, np.ndarray] = {}  # by trial, from the first question of the pool on, without a gap
        self._ahead: dict[int, dict[int, np.ndarray]] = {}  # by trial, pieces behind a gap by their start in the pool
        self._certification: Certification | None = None
        self.plan: Plan | None = None
        self._chunks: list[Chunk] = []
        self._outstanding = 0
        self.done = False

    @property
    def phase(self) -> str:
        """One of "refine", "certify" and "done"."""
        return "done" if self.done else "refine" if self.plan is None else "certify"

    @property
    def states(self) -> list[MarginState]:
        """The margins' chains; none before the plan is made."""
        return [] if self._certification is None else self._certification.states

    @property
    def waiting(self) -> bool:
        """Whether a chunk can be handed out now."""
        if not self._chunks and not self._outstanding and not self.done:
            self._chunks = self._planned_chunks()
        return bool(self._chunks)

    def next(self) -> Chunk | None:
        """Return the next chunk to be answered; None while others are out, or at the end."""
        if not self.waiting:
            return None
        self._outstanding += 1
        return self._chunks.pop(0)

    def take(self, chunk: Chunk, scores: Mapping[int, np.ndarray]) -> None:
        """Keep the answers of a chunk: they count once they are in the book."""
        self._book.add(chunk.split, chunk.start, scores)
        self._outstanding -= 1
        for number, values in scores.items():
            if chunk.split == VALIDATION:
                self._extend(number, chunk.start, values)
                self._left -= len(values)
            else:
                self._extend_test(number, chunk.start, values)

    def posterior_counts(self) -> Candidates:
        """Return what is known of all candidates by validation questions."""
        base = self._validation[self._dense]
        losses = [base[: len(s)] - s for s in self._validation.values()]
        known = [values[np.isfinite(values)] for values in losses]
        full = [values for values in known if len(values) >= self._searched]
        effect = design_effect(full, self._units)
        return candidates(self._costs, self._validation, self._dense, effect)

    def test_scores(self, number: int) -> np.ndarray:
        """Return the scores of a trial on the questions of the pool that dense answered, too."""
        n = min(len(self._test.get(self._dense, ())), len(self._test.get(number, ())))
        return self._test.get(number, np.zeros(0))[:n]

    def verdicts(self) -> list[Verdict]:
        """Return what the test says, by rising margin."""
        return [self._verdict(state) for state in self.states]

    def bounds(self) -> dict[int, float]:
        """Return the loss (of 1) that is certified not to be exceeded, by trial that answered test questions."""
        assert self.plan is not None
        bounds = {self._dense: 0.0}
        for state in self.states:
            proven = dict.fromkeys(state.certified, state.margin)
            if state.at < len(state.chain):
                tried = state.chain[state.at]
                proven[tried] = self.plan.evidence.tightest(self._losses(tried), state.level)
            for number, bound in proven.items():
                bounds[number] = min(bound, bounds.get(number, 1.0))
        return {number: bound for number, bound in bounds.items() if len(self._test.get(number, ()))}

    def _planned_chunks(self) -> list[Chunk]:
        if self.plan is None:
            units = self._test_units[: self._aim.pool]
            plan = self._book.stored(self._aim.margins, self._aim.level, units)
            if plan is None and (chunks := self._round()):
                return chunks
            self._begin_test(plan or self._book.register(self._planned(units)))
        return self._test_chunks()

    def _round(self) -> list[Chunk]:
        start = max(len(scores) for scores in self._validation.values())
        late = [n for n, scores in self._validation.items() if len(scores) == start > self._searched]
        if len(self._validation[self._dense]) < start and late:  # a stop cut the round off before dense answered
            return [Chunk(VALIDATION, len(self._validation[self._dense]), start, (self._dense,))]
        stop = min(start + ROUND, len(self._units))
        if stop <= start:
            return []
        rng = np.random.default_rng([self._seed, start])
        members = round_members(self.posterior_counts(), self._aim, self._left, rng)
        return list(_cut(VALIDATION, start, stop, [self._dense, *members])) if members else []

    def _planned(self, units: np.ndarray) -> Plan:
        of, aim = self.posterior_counts(), self._aim
        rng = np.random.default_rng([self._seed, 1])
        pool = aim.pool / of.counts.effect
        planned = planned_chains(of.counts, of.costs, aim.margins, pool, aim.test_level, rng)
        chains = {
            margin: tuple(of.numbers[i] for i in chain) for margin, chain in zip(aim.margins, planned, strict=True)
        }
        evidence = Evidence(units)
        weights: dict[float, tuple[float, ...]] = {}
        if not evidence.by_looks:
            for margin, chain in chains.items():
                losses = self._validation_losses(chain[-1]) if chain else np.zeros(0)
                weights[margin] = bet_weights(losses, self._units[: len(losses)], evidence.largest, margin, len(units))
        return Plan(aim.level, units, chains, weights)

    def _begin_test(self, plan: Plan) -> None:
        self.plan = plan
        self._certification = Certification(plan.evidence, plan.chains, plan.level, self._prospects)
        for number, pieces in self._book.answers(TEST).items():
            for start, scores in pieces:
                self._extend_test(number, start, scores)

    def _extend_test(self, number: int, start: int, scores: np.ndarray) -> None:
        assert self.plan is not None
        ahead = self._ahead.setdefault(number, {})
        ahead[start - self.plan.start] = scores
        known = self._test.get(number, np.zeros(0))
        while len(known) in ahead:
            known = np.concatenate([known, ahead.pop(len(known))])
        self._test[number] = known

    def _test_chunks(self) -> list[Chunk]:
        assert self.plan is not None and self._certification is not None
        self._certification.advance({n: self._losses(n) for n in self._test if n != self._dense})
        if self._certification.done:
            self.done = True
            return []
        ends, start = self.plan.evidence.chunk_ends(_STEP), self.plan.start
        wanted: dict[tuple[int, int], list[int]] = {}
        stops: dict[int, int] = {}
        for state in self.states:
            if state.current is not None:
                stop = next(e for e in ends if e > len(self._test.get(state.current, ())))
                stops |= {n: max(stop, stops.get(n, 0)) for n in [state.current, *self._likely_next(state)]}
        stops[self._dense] = max(stops.values())
        for number, stop in stops.items():
            at = len(self._test.get(number, ()))
            stop = min([stop, *(begin for begin in self._ahead.get(number, ()) if begin > at)])
            if at < stop:
                wanted.setdefault((at, stop), []).append(number)
        return [c for (low, high), numbers in wanted.items() for c in _cut(TEST, start + low, start + high, numbers)]

    def _likely_next(self, state: MarginState) -> list[int]:
        """Return the configurations behind the current one that will probably be tested, too."""
        behind, reached = [], 1.0
        for number, following in zip(state.chain[state.at :], state.chain[state.at + 1 :], strict=False):
            reached *= self._prospects(number, state.margin, state.level, self._losses(number))
            if reached < _AHEAD:
                break
            behind.append(following)
        return behind

    def _losses(self, number: int) -> np.ndarray:
        """Return the losses on the questions of the pool that dense answered, too."""
        base, scores = self._test.get(self._dense, np.zeros(0)), self._test.get(number, np.zeros(0))
        n = min(len(base), len(scores))
        losses: np.ndarray = base[:n] - scores[:n]
        return losses

    def _validation_losses(self, number: int) -> np.ndarray:
        scores = self._validation[number]
        losses = self._validation[self._dense][: self._searched] - scores[: self._searched]
        return np.asarray(losses[np.isfinite(losses)])

    def _prospects(self, number: int, margin: float, level: float, losses: np.ndarray) -> float:
        assert self.plan is not None
        of = self.posterior_counts()
        at = [of.numbers.index(number)]
        lost, gained = float(losses.clip(min=0).sum()), float((-losses).clip(min=0).sum())
        counts = Counts(
            of.counts.lost[at] + lost,
            of.counts.gained[at] + gained,
            of.counts.n[at] + len(losses),
            of.counts.wrong,
            of.counts.effect,
        )
        level *= self._aim.test_level * len(self._aim.margins) / self._aim.level
        rng = np.random.default_rng([self._seed, number, len(losses)])
        return remaining_chance(counts, (lost, gained, len(losses)), margin, self.plan.evidence.pool, level, rng)

    def _verdict(self, state: MarginState) -> Verdict:
        assert self.plan is not None and self._certification is not None
        certified = self._certification.certified(state.margin)
        if certified:
            best = min(certified, key=lambda number: self._costs[number])
            bound = min(s.margin for s in self.states if best in s.certified)
            return Verdict(state.margin, best, bound, best, len(self._losses(best)), state.level)
        if not state.chain:
            return Verdict(state.margin, None, math.nan, None, 0, 0.0, "no cheaper configuration had a chance")
        tried = state.chain[state.at]
        losses = self._losses(tried)
        bound = self.plan.evidence.tightest(losses, state.level)
        reason = f"the first that was tested loses {100 * losses.mean():.2f} points on {len(losses)} questions"
        return Verdict(state.margin, None, bound, tried, len(losses), state.level, reason)

    def _extend(self, number: int, start: int, scores: np.ndarray) -> None:
        known = self._validation.get(number, np.zeros(0))
        gap = np.full(max(0, start - len(known)), np.nan)
        self._validation[number] = np.concatenate([known, gap, scores])


def _cut(split: str, start: int, stop: int, numbers: Sequence[int]) -> Iterator[Chunk]:
    parts = math.ceil(len(numbers) / _MEMBERS)
    for begin in range(start, stop, _PIECE):
        for part in range(parts):
            yield Chunk(split, begin, min(begin + _PIECE, stop), tuple(numbers[part::parts]))
