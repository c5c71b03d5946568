"""A study's answers and plans in the store, as a certifier reads and writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from objectives.provenance import commit
from search.certifying.study_certifier import Plan
from storage import Ledger, PlanRecord, StudyKey


class StudyBook:
    """The `AnswerBook` of a stored study.

    Args:
        pool_digest: identifies test questions that have an end; "" for embedded ones.
        again: whether `stored` returns plans.
    """

    def __init__(self, ledger: Ledger, key: StudyKey, pool_digest: str, *, again: bool = False) -> None:
        self._ledger, self._key, self._pool_digest, self._again = ledger, key, pool_digest, again

    def answers(self, split: str) -> Mapping[int, Sequence[tuple[int, np.ndarray]]]:
        """Return each trial's answered pieces: start and scores."""
        pieces = self._ledger.answers(split)
        return {number: [(start, np.array(scores)) for start, scores in some] for number, some in pieces.items()}

    def add(self, split: str, start: int, scores: Mapping[int, np.ndarray]) -> None:
        """Commit the scores of some trials from question `start` on."""
        self._ledger.add(split, start, {number: values.tolist() for number, values in scores.items()}, commit())

    def register(self, plan: Plan) -> Plan:
        """Commit a plan and return it with its pool and its level."""
        document = {
            "chains": [[margin, list(chain)] for margin, chain in plan.chains.items()],
            "bets": [[margin, list(weights)] for margin, weights in plan.weights.items()],
        }
        key, text = self._key, json.dumps(document, sort_keys=True)
        stored = self._ledger.register(
            PlanRecord(
                weights_digest=key.weights_digest,
                questions=key.questions,
                pool_digest=self._pool_digest,
                pool=len(plan.units),
                asked_level=plan.level,
                document=text,
                commit=commit(),
            )
        )
        return replace(plan, level=stored.level, start=stored.start, digest=stored.digest)

    def stored(self, margins: Sequence[float], level: float, units: np.ndarray) -> Plan | None:
        """Return the latest plan of these margins, level and questions, if there is one and it may be taken again."""
        for record in reversed(self._ledger.plans() if self._again else []):
            document = json.loads(record.document)
            chains = {margin: tuple(chain) for margin, chain in document["chains"]}
            same = (record.asked_level, record.pool, record.pool_digest) == (level, len(units), self._pool_digest)
            if same and sorted(chains) == sorted(margins):
                bets = {margin: tuple(weights) for margin, weights in document["bets"]}
                return Plan(record.level, units, chains, bets, record.start, record.digest)
        return None
