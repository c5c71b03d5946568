"""Jobs in words, for commands and pages."""

from __future__ import annotations

import json
import math
import shlex
from datetime import datetime
from pathlib import PurePath

from storage.records import JobRecord

_EXPLORED, _FEWEST_TRIALS = 0.3, 40  # of the budget, where the rest goes to further questions


def explored_trials(budget: int, *, certify: bool) -> int:
    """Return the trials a study that a search explores: its budget, of which certifying leaves a part."""
    return max(min(budget, _FEWEST_TRIALS), math.ceil(_EXPLORED * budget)) if certify else budget


def described(job: JobRecord) -> str:
    """Return what a job does, in one line."""
    values = json.loads(job.request)
    if job.kind != "search":
        return shlex.join(values["options"])
    what = PurePath(values["data"]).name if values["data"] else " ".join(values["benchmarks"])
    return f"{values['model']} on {what}, budget {values['budget']}"


def state_text(job: JobRecord, now: datetime) -> str:
    """Return the state of a job for people, with what its runner does."""
    if job.state == "running" and job.expires_at is not None and job.expires_at < now:
        return "running, its runner is gone: the next start resumes"
    return "running, being cancelled" if job.cancelling else job.state
