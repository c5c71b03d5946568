"""What can be wrong with questions and answers that come from outside."""

from objectives.errors import ObjectiveError


class DataError(ObjectiveError):
    """A file of questions, answers or images cannot be used; the message names it, in one line."""
