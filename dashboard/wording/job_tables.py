"""The queue as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from storage import JobRecord
from storage.job_text import described, state_text


def jobs_table(jobs: Sequence[JobRecord], now: datetime) -> pd.DataFrame:
    """Return one row a job, in this order."""
    rows = [
        {
            "job": job.id,
            "state": state_text(job, now),
            "kind": job.kind,
            "what": described(job),
            "submitted_by": job.submitted_by,
            "submitted_at": job.submitted_at,
            "priority": job.priority,
            "message": job.message,
        }
        for job in jobs
    ]
    return pd.DataFrame(rows)
