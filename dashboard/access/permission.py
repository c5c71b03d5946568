"""Who may change the queue of jobs. Every button that writes asks here."""

from __future__ import annotations


def can_write() -> bool:
    """Return whether this session may submit, cancel and resume jobs."""
    return True


def user() -> str:
    """Return who is signed in, for the jobs that they submit; "" without sign-in."""
    return ""
