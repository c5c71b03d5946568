"""What can go wrong with a search; the command line shows the message alone and exits with code 2."""


class SearchError(Exception):
    """Root of this package's errors; the message says what was got, what was expected and what to do."""


class UsageError(SearchError):
    """The request cannot be carried out as it was made."""


class WorkersLostError(SearchError):
    """No evaluator is left to measure anything."""


class StudyFailedError(SearchError):
    """A study was given up, since its measurements failed one after the other."""


class StudyLockedError(SearchError):
    """Another process searches the study."""


class StoreLostError(SearchError):
    """The store stayed away for longer than a search waits for it."""
