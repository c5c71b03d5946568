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
    """

    def __init__(self, ledger: Ledger, key: StudyKey, pool_digest: str) -> None:
        self._ledger, self._key, self._pool_digest = ledger, key, pool_digest
        self.plan: PlanRecord | None = None

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
            "binary": plan.binary,
            "chains": {str(margin): list(chain) for margin, chain in plan.chains.items()},
            "bets": {str(margin): list(weights) for margin, weights in plan.weights.items()},
        }
        key, text = self._key, json.dumps(document, sort_keys=True)
        record = PlanRecord(
            key.weights_digest, key.questions, self._pool_digest, 0, len(plan.units), plan.level, text, commit()
        )
        self.plan = self._ledger.register(record)
        return replace(plan, level=self.plan.level, start=self.plan.start, digest=self.plan.digest)
