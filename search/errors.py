"""What can go wrong with a search, as one tree.

    SearchError
    ├── UsageError         the request cannot be met as it was made
    ├── WorkersLostError   no worker is left to measure anything, or the cluster cannot be joined
    ├── StudyFailedError   a study was abandoned: its measurements failed, one after the other
    ├── StudyLockedError   another process searches the study
    └── StoreLostError     the store was unavailable for longer than a search waits for it

A command prints the message as one line and exits with code 2.
"""


class SearchError(Exception):
    """Root of everything that `search` raises on purpose."""


class UsageError(SearchError):
    """The request cannot be met as it was made."""


class WorkersLostError(SearchError):
    """No worker is left to measure anything, or the cluster cannot be joined."""


class StudyFailedError(SearchError):
    """A study was abandoned: its measurements failed, one after the other."""


class StudyLockedError(SearchError):
    """Another process searches the study."""


class StoreLostError(SearchError):
    """The store was unavailable for longer than a search waits for it."""
