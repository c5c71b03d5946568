"""The phase of each study: what its search does now, told from the newest of its records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, ScalarSelect, Table, func, select

from storage.sql import leases
from storage.sql.connection import transaction
from storage.sql.schema import ANSWERS, CONFIRMATIONS, LEASES, PLANS, STUDIES, TRIALS
from storage.store import Store

Phase = Literal["waiting", "exploring", "refining", "certifying", "done"]


def phases(store: Store) -> dict[int, Phase]:
    """Return the phase of each study, by the study's id.

    A study is exploring when its newest record is a trial, refining when it is an answer to a further validation
    question, certifying when it is a plan or an answer to a test question, and done when it is a held-out measurement
    or a plan with nothing to test. Without a process that holds its lease, a study that is not done is waiting.
    """
    newest = select(TRIALS.c.created_at).where(TRIALS.c.study_id == STUDIES.c.id)
    columns = {  # trials by number, which has an index: a study may have 100,000
        "exploring": newest.order_by(TRIALS.c.number.desc()).limit(1).correlate(STUDIES).scalar_subquery(),
        "refining": _latest(ANSWERS, ANSWERS.c.split == "validation"),
        "tested": _latest(ANSWERS, ANSWERS.c.split != "validation"),
        "planned": _latest(PLANS),
        "done": _latest(CONFIRMATIONS),
    }
    plan = select(PLANS.c.document).where(PLANS.c.study_id == STUDIES.c.id).order_by(PLANS.c.id.desc()).limit(1)
    query = select(
        STUDIES.c.id,
        LEASES.c.expires_at,
        plan.correlate(STUDIES).scalar_subquery().label("plan"),
        *(column.label(name) for name, column in columns.items()),
    ).outerjoin(LEASES, LEASES.c.study_id == STUDIES.c.id)
    with store.translated("read the phases of"), transaction(store.engine) as connection:
        now = leases.now(connection)
        return {row["id"]: _phase(row, now) for row in connection.execute(query).mappings()}


def _latest(table: Table, *conditions: ColumnElement[bool]) -> ScalarSelect[datetime]:
    query = select(func.max(table.c.created_at)).where(table.c.study_id == STUDIES.c.id, *conditions)
    return query.correlate(STUDIES).scalar_subquery()


def _phase(row: Mapping[Any, Any], now: datetime) -> Phase:
    held = row["expires_at"] is not None and row["expires_at"] > now
    nothing_to_test = row["plan"] is not None and not any(chain for _, chain in json.loads(row["plan"])["chains"])
    steps: list[tuple[datetime | None, Phase]] = [
        (row["exploring"], "exploring"),
        (row["refining"], "refining"),
        (row["planned"], "done" if nothing_to_test else "certifying"),
        (row["tested"], "certifying"),
        (row["done"], "done"),
    ]
    known = [(moment, step) for step, (moment, _) in enumerate(steps) if moment is not None]
    reached = steps[max(known)[1]][1] if known else "exploring"
    return reached if held or reached == "done" else "waiting"
