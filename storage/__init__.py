"""Storage: the one door to SQL. SQLite and PostgreSQL from the same schema.

from storage import open_store
with open_store("sqlite:///himap.db") as store:
    study = store.study(key)
    store.add(study, trial)          # committed when this returns
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
)
from storage.records import Latency, Lease, QuestionSource, RunningTrial, StudyKey, StudySummary, Trial
from storage.store import Store, open_store

__all__ = [
    "Confirmation",
    "DuplicateTrialError",
    "Latency",
    "Lease",
    "LeaseLostError",
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
    "Trial",
    "open_store",
]
