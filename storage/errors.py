"""What can go wrong with a store, as one tree.

    StorageError
    ├── StoreMissingError     nothing there to read (opened read-only)
    ├── SchemaError           the store's schema is newer, or too old to read without an upgrade
    ├── DuplicateTrialError   the study already holds a trial of that number
    ├── LeaseLostError        another process searches the study by now; nothing was written
    ├── StoreUnavailableError the store does not answer or has no room; the same may work a little later
    ├── TamperedError         answers or a plan are not what was written
    └── RecordError           a record that makes no sense (also for presets of failed trials)

Every message is one line: what was got, what was expected, what to do. Passwords never appear in it.
"""

from __future__ import annotations


class StorageError(Exception):
    """Root of everything that `storage` raises on purpose."""


class StoreMissingError(StorageError):
    """There is no store at this place, and the caller asked not to create one."""


class SchemaError(StorageError):
    """The store was written by another version of this program and cannot be used as it is."""


class DuplicateTrialError(StorageError):
    """The study already holds a trial with this number; nothing was written."""


class LeaseLostError(StorageError):
    """The study's lease is not the caller's any more; nothing was written."""


class StoreUnavailableError(StorageError):
    """The store cannot be reached or written now (restart, lock, full disk); trying again may work."""


class TamperedError(StorageError):
    """Answers or a plan were changed after they were written; nothing may rest on them."""


class RecordError(StorageError):
    """A record contradicts itself, for example a failed trial without a reason."""
