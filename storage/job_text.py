"""Jobs in words, for commands and pages."""

from __future__ import annotations

import json
import shlex
from datetime import datetime

from storage.records import JobRecord


def described(job: JobRecord) -> str:
    """Return what a job does, in one line."""
    values = json.loads(job.request)
    if job.kind != "search":
        return shlex.join(values["options"])
    what = values["data"] or " ".join(values["benchmarks"])
    return f"{values['model']} on {what}, budget {values['budget']}"


def state_text(job: JobRecord, now: datetime) -> str:
    """Return the state of a job for people, with what its runner does."""
    if job.state == "running" and job.expires_at is not None and job.expires_at < now:
        return "running, its runner is gone: the next start resumes"
    return "running, being cancelled" if job.cancelling else job.state
