"""Submit, cancel and resume jobs. A command in a process of its own checks a new one, as it does from a shell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dashboard.access import permission
from dashboard.access.commands import CommandError, run_json
from storage import JobQueue, JobRecord, StorageError, open_store

SUBMIT = "search.submit"


def submit(url: str, kind: str, options: Sequence[str]) -> int:
    """Queue a job, and return its number.

    Args:
        url: of the store, without a password; it is created if it is missing.
        kind: search, export, verify or flow.
        options: of `search.launch`, or of the command of that name. A job's relative paths refer to the folder of the
            dashboard.

    Raises:
        CommandError: the session may not, or the options are refused; the message says why in one line.
    """
    _check()
    by = permission.user()
    words = [*([] if kind == "search" else [kind]), *options, "--storage", url, "--json"]
    document = run_json(SUBMIT, [*words, *([f"--by={by}"] if by else [])])
    return int(document["job"]["id"])


def cancel(url: str, job_id: int) -> None:
    """Cancel a queued job, or ask the service to stop a running one. Errors as `submit`."""
    _change(url, lambda queue: queue.cancel(job_id))


def resume(url: str, job_id: int) -> None:
    """Queue a cancelled or failed job again. Errors as `submit`."""
    _change(url, lambda queue: queue.resume(job_id))


def _change(url: str, act: Callable[[JobQueue], JobRecord]) -> None:
    _check()
    try:
        with open_store(url) as store:
            act(JobQueue(store))
    except StorageError as error:
        raise CommandError(str(error)) from error


def _check() -> None:
    if not permission.can_write():
        raise CommandError("got a change from a session that may only read; expected one that may write; sign in first")
