"""What can go wrong when a configuration is measured."""


class ObjectiveError(Exception):
    """Root of this package's errors; the message says what was got, what was expected and what to do."""


class UnknownBenchmarkError(ObjectiveError):
    """No benchmark has this name."""


class ModelLoadError(ObjectiveError):
    """No such model is known, or its weights cannot be loaded."""


class DataError(ObjectiveError):
    """A file of questions, answers or images cannot be used; the message names it, in one line."""
