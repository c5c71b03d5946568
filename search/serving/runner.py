"""The runner: takes jobs one after another and carries each out in a process of its own.

Whatever is killed, nothing is lost or run twice. The runner holds a job by a lease; its process ends with the runner.
A job that a dead runner or process left behind goes back to the queue and resumes from what the store holds.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from search.serving.job_process import RETRY, WAIT
from search.serving.process_log import ProcessLog
from search.studies.lease_holder import EXPIRES, RENEWED, has_ended, process_identity
from storage import JobQueue, JobRecord, Lease, LeaseLostError, StorageError, StoreUnavailableError
from storage.job_text import described

ROOT = Path(__file__).resolve().parents[2]
JOB_COMMAND = (sys.executable, "-m", "search.serving.job_process")
_LOOK, _WATCH, _LOG = 0.5, 1.0, 2.0  # seconds between looks for a job, at a running one, and writes of its log
_WAIT = 10.0  # seconds before a job that met a locked study is tried again
_SOON, _MOST_CRASHES = 60.0, 5  # a job that crashes so often, each time so soon, has failed


class JobRunner:
    """Carries out the jobs of a queue.

    Args:
        url: of the store, absolute.
        address: of the Ray cluster to join where a job names none.
        report: called with a line for people at each change.
        command: the words of a job's process, which gets its order as a line of JSON on standard input.
    """

    def __init__(
        self,
        queue: JobQueue,
        url: str,
        address: str | None,
        report: Callable[[str], None],
        command: Sequence[str] = JOB_COMMAND,
    ) -> None:
        self._queue, self._url, self._address = queue, url, address
        self._report, self._command = report, list(command)
        self._lease = Lease(uuid.uuid4().hex, socket.gethostname(), os.getpid(), process_identity(os.getpid()))
        self._signals: list[int] = []

    @property
    def signum(self) -> int | None:
        """The signal that stopped the runner."""
        return self._signals[0] if self._signals else None

    def on_signal(self, signum: int, frame: FrameType | None) -> None:
        """Stop once what the job measures is stored; at the second signal at once."""
        self._signals.append(signum)

    def run(self, *, until_idle: bool = False) -> None:
        """Carry out jobs until a signal comes, or until no job is queued or running.

        A store that is unavailable is waited for.
        """
        unavailable = False
        while not self._signals:
            try:
                job = self._queue.take(self._lease, EXPIRES, self._gone())
                idle = job is None and until_idle and not self._queue.jobs("queued", "running")
                unavailable = False
            except StoreUnavailableError as error:
                if not unavailable:
                    self._report(f"{error}; waiting for the store")
                unavailable, job, idle = True, None, False
            if idle:
                return
            if job is None:
                time.sleep(_LOOK)
            else:
                self._carry_out(job)

    def _gone(self) -> set[str]:
        """Return the owners of running jobs that have ended on this machine; end what they left running."""
        gone = set()
        for job in self._queue.jobs("running"):
            if has_ended(Lease(job.owner, job.host, job.pid, job.birth)):
                if job.process_birth and process_identity(job.process_pid) == job.process_birth:
                    with suppress(ProcessLookupError):
                        os.kill(job.process_pid, signal.SIGKILL)
                else:
                    gone.add(job.owner)
        return gone

    def _carry_out(self, job: JobRecord) -> None:
        self._report(f"job {job.id} {'resumes' if job.starts > 1 else 'starts'}: {job.kind} {described(job)}")
        began = time.monotonic()
        try:
            process = self._start(job)
        except OSError as error:
            message = (
                f"cannot start in the folder {job.folder}: {error.strerror}; submit it from a folder of this machine"
            )
            self._keep(lambda: self._queue.end(job.id, job.owner, "failed", message))
            return
        with process:
            assert process.stdout is not None
            log = ProcessLog(process.stdout, self._url)
            try:
                cancelled = self._watch(job, process, log)
                log.close()
            except LeaseLostError as error:
                self._report(str(error))
                return
            finally:
                process.kill()
        self._conclude(job, process.returncode, log, time.monotonic() - began, cancelled=cancelled)

    def _start(self, job: JobRecord) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        process = subprocess.Popen(
            self._command,
            cwd=job.folder,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the runner, which passes it on
        )
        order = {"id": job.id, "kind": job.kind, "request": job.request, "storage": self._url, "address": self._address}
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already, and its exit code says how
            process.stdin.write(f"{json.dumps(order)}\n".encode())
            process.stdin.flush()
        return process

    def _watch(self, job: JobRecord, process: subprocess.Popen[bytes], log: ProcessLog) -> bool:
        """Return once the process has ended, whether it was cancelled.

        Renew the lease, pass signals and a cancellation on, and store the log meanwhile.

        Raises:
            LeaseLostError: the job is another runner's by now.
        """
        self._keep(lambda: self._queue.started(job.id, job.owner, process.pid, process_identity(process.pid)))
        renewed = looked = logged = time.monotonic()
        written, cancelled, passed_on = "", False, 0
        while not _ended(process, 0.1):
            moment = time.monotonic()
            if passed_on < len(self._signals):
                passed_on += 1
                process.terminate()
            try:
                if moment - renewed > RENEWED:
                    self._queue.renew(job.id, job.owner, EXPIRES)
                    renewed = moment
                if moment - looked > _WATCH and not cancelled:
                    looked, cancelled = moment, self._queue.job(job.id).cancelling
                    if cancelled:
                        self._report(f"job {job.id} is being cancelled")
                        process.terminate()
                if moment - logged > _LOG and log.text != written:
                    logged, written = moment, log.text
                    self._queue.write_log(job.id, job.owner, written)
            except LeaseLostError:
                raise
            except StorageError:
                continue  # the job's own process waits for the store, too
        return cancelled

    def _conclude(self, job: JobRecord, code: int, log: ProcessLog, seconds: float, *, cancelled: bool) -> None:
        """Commit what the exit code says."""
        queue, owner = self._queue, job.owner
        self._keep(lambda: queue.write_log(job.id, owner, log.text))
        stopped = code < 0 or code > 128
        if code == 0:
            self._keep(lambda: queue.end(job.id, owner, "finished", ""))
        elif code == 1 and job.kind == "verify":
            self._keep(lambda: queue.end(job.id, owner, "finished", "the preset does not keep its margin here"))
        elif stopped and cancelled:
            self._keep(lambda: queue.end(job.id, owner, "cancelled", "what it measured is kept"))
        elif stopped and self._signals:
            self._keep(lambda: queue.requeue(job.id, owner, "stopped with its runner", crashes=job.crashes))
        elif code == WAIT:
            self._keep(lambda: queue.requeue(job.id, owner, log.last_error, crashes=job.crashes, delay=_WAIT))
        elif stopped or code == RETRY:
            self._crashed(job, f"signal {-code}" if code < 0 else log.last_error or f"exit code {code}", seconds)
        else:
            self._keep(lambda: queue.end(job.id, owner, "failed", log.last_error or f"exit code {code}"))
        with suppress(StorageError):
            now = queue.job(job.id)
            self._report(f"job {job.id} is {now.state} after {seconds:.0f} s{': ' if now.message else ''}{now.message}")

    def _crashed(self, job: JobRecord, how: str, seconds: float) -> None:
        """Resume a job whose process was killed, unless that happens again and again; cancel one that was stopped."""
        crashes = job.crashes + 1 if seconds < _SOON else 1
        if crashes < _MOST_CRASHES:
            message, delay = f"its process ended by {how}; it resumes", crashes - 1.0
            self._keep(lambda: self._queue.requeue(job.id, job.owner, message, crashes=crashes, delay=delay))
        else:
            message = f"its process ended {crashes} times within {_SOON:.0f} s, the last time by {how}"
            self._keep(lambda: self._queue.end(job.id, job.owner, "failed", message))

    def _keep(self, write: Callable[[], None]) -> None:
        """Commit a change, however long the store is unavailable; a second signal ends the wait.

        What could not be written is found by the next runner. What is another runner's by now stays as it is.
        """
        while True:
            try:
                write()
                return
            except LeaseLostError as error:
                self._report(str(error))
                return
            except StoreUnavailableError:
                if len(self._signals) > 1:
                    return
                time.sleep(1.0)


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Return whether a process ends within some seconds."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
