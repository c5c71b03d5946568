"""Everything that objectives raises, as one tree.

ObjectiveError
├── UnknownBenchmarkError  no benchmark has this name
├── ModelLoadError         a model that is unknown, or weights that cannot be loaded
└── DataError              a file of questions, answers or images that cannot be used
    └── BadRowsError       rows of a user's file of questions, each with its problem (data.own_file)
"""


class ObjectiveError(Exception):
    """Root of this package's errors; the message says what was got, what was expected and what to do."""


class UnknownBenchmarkError(ObjectiveError):
    """No benchmark has this name."""


class ModelLoadError(ObjectiveError):
    """No such model is known, or its weights cannot be loaded."""


class DataError(ObjectiveError):
    """A file of questions, answers or images cannot be used; the message names it, in one line."""
