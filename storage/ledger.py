"""What a study's trials answered after the search, and the plans of its tests: both are only ever added to.

A plan is registered before the first question of its pool is asked. Each piece of answers carries a digest of itself
and of the piece before, each plan one of its content, so that a changed row is noticed when it is read.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from hashlib import sha256

from sqlalchemy import RowMapping, func, insert, select

from storage.errors import StorageError, TamperedError
from storage.records import utc_now
from storage.sql.connection import transaction
from storage.sql.rows import pack_scores, unpack_scores
from storage.sql.schema import ANSWERS, PLANS
from storage.store import Store

_PLANNING = 0x68696D61  # the advisory lock of whoever registers a plan
Pieces = dict[int, list[tuple[int, tuple[float, ...]]]]  # by trial: start and scores


@dataclass(frozen=True)
class PlanRecord:
    """A registered plan.

    Attributes:
        weights_digest: of the model.
        questions: `StudyKey.questions`.
        pool_digest: of the test questions in their order; "" where they have no end, so that each plan takes new ones.
        pool: the number of its questions.
        asked_level: that was asked for.
        document: margins, chains and bets as JSON.
        start: the first of its questions in the test order; the ledger decides it, as it does the level.
        level: of all its margins, after what earlier plans on the same questions took.
    """

    weights_digest: str
    questions: str
    pool_digest: str
    pool: int
    asked_level: float
    document: str
    commit: str = ""
    start: int = 0
    level: float = 0.0
    created_at: datetime = field(default_factory=utc_now)

    @property
    def digest(self) -> str:
        """Identifies the plan: a hash of everything but the time."""
        values = {name: value for name, value in asdict(self).items() if name != "created_at"}
        return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class Ledger:
    """The answers and plans of one study.

    Args:
        owner: of the study's lease, which each write checks; "" without one.
    """

    def __init__(self, store: Store, study_id: int, owner: str = "") -> None:
        self._store, self._study_id, self._owner = store, study_id, owner

    def add(self, split: str, start: int, scores: Mapping[int, Sequence[float]], commit: str = "") -> None:
        """Commit what some trials answered from question `start` of a split on; the same piece again changes nothing.

        Raises:
            StorageError: another piece is stored there.
            LeaseLostError: the lease is not the owner's.
        """
        doing = f"store answers of study {self._study_id} in"
        with self._store.translated(doing), transaction(self._store.engine, write=True) as connection:
            self._store.touch(connection, self._study_id, self._owner)
            for number, values in scores.items():
                here = (ANSWERS.c.study_id == self._study_id, ANSWERS.c.number == number, ANSWERS.c.split == split)
                packed = pack_scores(values)
                query = select(ANSWERS.c.start, ANSWERS.c.packed, ANSWERS.c.digest).where(*here)
                rows = connection.execute(query.order_by(ANSWERS.c.id)).all()
                overlapping = [
                    row for row in rows if row.start < start + len(values) and start < row.start + _length(row.packed)
                ]
                if overlapping:
                    if (overlapping[0].start, overlapping[0].packed) == (start, packed):
                        continue
                    raise StorageError(
                        f"study {self._study_id} in {self._store.location} already has other answers of trial {number} "
                        f"to {split} question {start}; each is stored once"
                    )
                digest = _chained(rows[-1].digest if rows else "", start, packed)
                row = {"study_id": self._study_id, "number": number, "split": split, "start": start}
                row |= {"packed": packed, "digest": digest, "commit": commit, "created_at": utc_now()}
                connection.execute(insert(ANSWERS), row)

    def answers(self, split: str) -> Pieces:
        """Return what each trial answered.

        Raises:
            TamperedError: a stored piece is not what was written.
        """
        query = select(ANSWERS).where(ANSWERS.c.study_id == self._study_id, ANSWERS.c.split == split)
        doing = f"read answers of study {self._study_id} of"
        with self._store.translated(doing), transaction(self._store.engine) as connection:
            rows = connection.execute(query.order_by(ANSWERS.c.id)).mappings().all()
        digests: dict[int, str] = defaultdict(str)
        pieces: Pieces = defaultdict(list)
        for row in rows:
            number = row["number"]
            digests[number] = _chained(digests[number], row["start"], row["packed"])
            if digests[number] != row["digest"]:
                raise TamperedError(
                    f"answers of trial {number} to {split} questions in {self._store.location} are not what was "
                    "written; certify anew, in a new store"
                )
            pieces[number].append((row["start"], unpack_scores(row["packed"])))
        return dict(pieces)

    def counts(self) -> dict[str, int]:
        """Return how many answers are stored of each split, unchecked."""
        query = select(ANSWERS.c.split, ANSWERS.c.packed).where(ANSWERS.c.study_id == self._study_id)
        counts: dict[str, int] = defaultdict(int)
        doing = f"count answers of study {self._study_id} of"
        with self._store.translated(doing), transaction(self._store.engine) as connection:
            for split, packed in connection.execute(query):
                counts[split] += _length(packed)
        return dict(counts)

    def register(self, plan: PlanRecord) -> PlanRecord:
        """Commit a plan, and return it with its start and its level.

        A plan that this study registered before is returned as it is stored. Where questions have no end, a new plan
        takes those behind all earlier pools; otherwise it halves its level for each earlier plan on these questions.
        """
        doing = f"register a plan of study {self._study_id} in"
        with self._store.translated(doing), transaction(self._store.engine, write=True) as connection:
            self._store.touch(connection, self._study_id, self._owner)
            if connection.dialect.name == "postgresql":  # SQLite has one writer at a time
                connection.execute(select(func.pg_advisory_xact_lock(_PLANNING)))
            same = [PLANS.c[name] == getattr(plan, name) for name in ("weights_digest", "questions", "pool_digest")]
            earlier = connection.execute(select(PLANS).where(*same).order_by(PLANS.c.id)).mappings().all()
            for row in earlier:
                content = (row["study_id"], row["document"], row["pool"], row["asked_level"])
                if content == (self._study_id, plan.document, plan.pool, plan.asked_level):
                    return self._checked(row)
            if plan.pool_digest:
                plan = replace(plan, level=plan.asked_level / 2 ** len(earlier))
            else:
                start = max((row["start"] + row["pool"] for row in earlier), default=0)
                plan = replace(plan, level=plan.asked_level, start=start)
            connection.execute(insert(PLANS), {**asdict(plan), "study_id": self._study_id, "digest": plan.digest})
            return plan

    def plans(self) -> list[PlanRecord]:
        """Return the study's plans, the oldest first.

        Raises:
            TamperedError: a stored plan is not what was written.
        """
        query = select(PLANS).where(PLANS.c.study_id == self._study_id).order_by(PLANS.c.id)
        doing = f"read plans of study {self._study_id} of"
        with self._store.translated(doing), transaction(self._store.engine) as connection:
            return [self._checked(row) for row in connection.execute(query).mappings().all()]

    def _checked(self, row: RowMapping) -> PlanRecord:
        plan = PlanRecord(**{name: row[name] for name in PlanRecord.__dataclass_fields__})
        if plan.digest != row["digest"]:
            raise TamperedError(
                f"plan {row['id']} in {self._store.location} is not what was written; certify anew, in a new store"
            )
        return plan


def _chained(before: str, start: int, packed: bytes) -> str:
    return sha256(f"{before}:{start}:".encode() + packed).hexdigest()


def _length(packed: bytes) -> int:
    return len(unpack_scores(packed))
