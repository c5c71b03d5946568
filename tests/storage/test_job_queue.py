"""The queue: order, one runner a job, leases, cancel and resume, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from storage import JobQueue, JobRecord, Lease, LeaseLostError, StorageError, Store

JOB = JobRecord("search", '{"model": "m"}', "/", "ann@here")
ME, OTHER = Lease("me", "here", 1, "b"), Lease("other", "there", 2, "c")


@pytest.fixture
def queue(store: Store) -> JobQueue:
    return JobQueue(store)


def test_the_highest_priority_comes_first_then_the_oldest(queue: JobQueue) -> None:
    for priority in (0, 5, 0, -1):
        queue.submit(replace(JOB, priority=priority))
    taken = [queue.take(ME, 60) for _ in range(5)]
    assert [job.id if job else None for job in taken] == [2, 1, 3, 4, None]
    assert {job.state for job in queue.jobs()} == {"running"}
    assert queue.job(2).request == JOB.request and queue.job(2).host == "here" and queue.job(2).starts == 1


def test_many_runners_take_each_job_once(queue: JobQueue) -> None:
    ids = [queue.submit(JOB).id for _ in range(40)]

    def work(number: int) -> list[int]:
        mine = []
        while job := queue.take(Lease(f"owner {number}", "here", number, ""), 60):
            queue.end(job.id, job.owner, "finished", "")
            mine.append(job.id)
        return mine

    with ThreadPoolExecutor(4) as pool:
        taken = [one for mine in pool.map(work, range(4)) for one in mine]
    assert sorted(taken) == ids
    assert {(job.state, job.starts) for job in queue.jobs()} == {("finished", 1)}


def test_a_job_of_a_dead_or_silent_runner_is_taken_over_and_the_former_changes_nothing(queue: JobQueue) -> None:
    job = queue.submit(JOB).id
    queue.submit(JOB)
    assert queue.take(ME, 60)
    queue.started(job, "me", 77, "d")
    taken = queue.take(OTHER, 60, dead={"me"})  # before the queued one
    assert taken is not None and (taken.id, taken.starts, taken.owner, taken.process_pid) == (job, 2, "other", 0)
    for act in (
        lambda: queue.renew(job, "me", 60),
        lambda: queue.started(job, "me", 1, ""),
        lambda: queue.end(job, "me", "failed", ""),
        lambda: queue.requeue(job, "me"),
        lambda: queue.write_log(job, "me", "x"),
    ):
        with pytest.raises(LeaseLostError):
            act()
    queue.renew(job, "other", -1)
    again = queue.take(ME, 60)
    assert again is not None and again.id == job


def test_a_job_goes_back_and_waits(queue: JobQueue) -> None:
    job = queue.submit(JOB).id
    queue.take(ME, 60)
    queue.requeue(job, "me", "locked", crashes=2, delay=60)
    assert queue.take(ME, 60) is None
    assert (queue.job(job).state, queue.job(job).message, queue.job(job).crashes) == ("queued", "locked", 2)


def test_cancel_and_resume(queue: JobQueue) -> None:
    first, second = queue.submit(JOB).id, queue.submit(JOB).id
    queue.take(ME, 60)
    assert queue.cancel(first).cancelling and queue.cancel(second).state == "cancelled"
    with pytest.raises(StorageError, match=f"job {first} is being cancelled; expected a cancelled or failed one"):
        queue.resume(first)
    queue.requeue(first, "me", crashes=1)
    assert queue.job(first).state == "cancelled"
    assert queue.take(ME, 60) is None
    assert queue.resume(first).state == "queued"
    queue.take(ME, 60)
    queue.cancel(first)
    assert queue.take(OTHER, 60, dead={"me"}) is None  # its runner died while it was being cancelled
    assert queue.job(first).state == "cancelled"
    queue.resume(first)
    queue.take(ME, 60)
    queue.end(first, "me", "finished", "done")
    assert queue.cancel(first).state == "finished"
    with pytest.raises(StorageError, match="is finished"):
        queue.resume(first)
    with pytest.raises(StorageError, match="has no job 99"):
        queue.cancel(99)


def test_the_log_is_kept(queue: JobQueue) -> None:
    job = queue.submit(JOB).id
    assert queue.log(job) == ""
    queue.take(ME, 60)
    queue.write_log(job, "me", "one\n")
    queue.write_log(job, "me", "one\ntwo \x00\n")
    assert queue.log(job) == "one\ntwo \ufffd\n"
