"""Jobs from a page: submitted by the command, changed in the store, refused to a session that may only read."""

from __future__ import annotations

import json

import pytest

from dashboard.access import permission, queue
from dashboard.access.commands import CommandError
from storage import JobQueue, open_store


def test_a_job_is_checked_queued_cancelled_and_resumed(database: str) -> None:
    with pytest.raises(CommandError, match=r"search\.submit failed: .*--budget 0"):
        queue.submit(database, "search", ["--model", "qwenvl", "--budget", "0"])
    number = queue.submit(database, "export", ["--model", "a b", "--margins", "3"])
    with open_store(database) as store:
        (job,) = JobQueue(store).jobs()
        assert (job.id, job.kind, job.state) == (number, "export", "queued")
        assert json.loads(job.request) == {"options": ["--model", "a b", "--margins", "3"]}
        queue.cancel(database, number)
        assert JobQueue(store).job(number).state == "cancelled"
        queue.resume(database, number)
        assert JobQueue(store).job(number).state == "queued"
    with pytest.raises(CommandError, match="expected a cancelled or failed one"):
        queue.resume(database, number)


def test_who_is_signed_in_submits(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permission, "user", lambda: "-ann@example.org")
    queue.submit(database, "export", ["--model", "qwenvl"])
    with open_store(database) as store:
        assert [job.submitted_by for job in JobQueue(store).jobs()] == ["-ann@example.org"]


def test_a_session_that_may_only_read_changes_nothing(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    number = queue.submit(database, "export", ["--model", "qwenvl"])
    monkeypatch.setattr(permission, "can_write", lambda: False)
    for act in (lambda: queue.submit(database, "flow", []), lambda: queue.cancel(database, number)):
        with pytest.raises(CommandError, match="may only read"):
            act()
    with open_store(database) as store:
        assert [job.state for job in JobQueue(store).jobs()] == ["queued"]
