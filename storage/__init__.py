"""Studies and trials in SQLite or PostgreSQL, with one schema. Only this package speaks SQL.

from storage import open_store
with open_store("sqlite:///himap.db") as store:
    study_id = store.study(key)
    store.add(study_id, trial)          # committed when this returns
"""

from storage.confirmation import Confirmation
from storage.errors import (
    DuplicateTrialError,
    LeaseLostError,
    RecordError,
    SchemaError,
    StorageError,
    StoreMissingError,
    StoreUnavailableError,
    TamperedError,
)
from storage.job_queue import JobQueue
from storage.ledger import Ledger, PlanRecord
from storage.records import (
    JobRecord,
    Latency,
    Lease,
    Measurement,
    QuestionSource,
    RunningTrial,
    StudyKey,
    StudySummary,
    Trial,
)
from storage.store import Store, open_store

__all__ = [
    "Confirmation",
    "DuplicateTrialError",
    "JobQueue",
    "JobRecord",
    "Latency",
    "Lease",
    "LeaseLostError",
    "Ledger",
    "Measurement",
    "PlanRecord",
    "QuestionSource",
    "RecordError",
    "RunningTrial",
    "SchemaError",
    "StorageError",
    "Store",
    "StoreMissingError",
    "StoreUnavailableError",
    "StudyKey",
    "StudySummary",
    "TamperedError",
    "Trial",
    "open_store",
]
