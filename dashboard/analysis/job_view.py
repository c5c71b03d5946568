"""Jobs as pages show them: whether anything carries them out, which studies are theirs, and how far these are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from storage import JobRecord, Lease, StudySummary
from storage.commands import shell_command
from storage.job_text import explored_trials
from storage.phase import Phase

COMMANDS = {"search": "search.launch", "export": "search.export", "verify": "search.verify", "flow": "objectives.flow"}
_TAKEN_WITHIN = timedelta(seconds=5)  # by a service that has nothing else to do
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)")  # by the rest of the line, as a progress bar does


@dataclass(frozen=True)
class PairProgress:
    """How far a job is with one model on one benchmark.

    `answers` count those to further questions by split; `tested` is the largest number of answers to test questions
    that its plan can ask, 0 without a plan.
    """

    study: StudySummary
    phase: Phase
    answers: Mapping[str, int]
    tested: int = 0


def without_service(jobs: Iterable[JobRecord], now: datetime) -> bool:
    """Return whether jobs wait and no service takes them: a service that is idle takes one at once."""
    waiting = False
    for job in jobs:
        if job.state == "running" and job.expires_at is not None:
            if job.expires_at > now:
                return False
            waiting = True
        waiting = waiting or (job.state == "queued" and job.ready_at + _TAKEN_WITHIN < now)
    return waiting


def studies_of(
    job: JobRecord, studies: Sequence[StudySummary], leases: Mapping[int, Lease | None]
) -> list[StudySummary]:
    """Return the studies that a job works on: its process holds them, or its request names them once it has started."""
    if job.state == "running":
        held = {number for number, lease in leases.items() if lease is not None and _is_process(lease, job)}
        return [study for study in studies if study.id in held]
    if job.kind != "search" or job.started_at is None:
        return []
    values, started = json.loads(job.request), job.started_at
    return [study for study in studies if study.updated_at >= started and _is_searched(study, values)]


def pair_line(progress: PairProgress, values: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return how far a pair is in words, and as a share of its phase where that is known.

    Args:
        values: the request of a search; of another job nothing.
    """
    trials, budget = progress.study.trials, values.get("budget", 0)
    explored = explored_trials(budget, certify=values.get("certify", True))
    validation = progress.answers.get("validation", 0)
    tested = sum(progress.answers.values()) - validation
    if progress.phase == "exploring":
        return f"exploring: {_of(trials, explored)} trials", _share(trials, explored)
    if progress.phase == "refining":
        most = (budget - explored) * progress.study.key.n_questions
        return f"refining: {_of(validation, most)} further answers", _share(validation, most)
    if progress.phase == "certifying":
        most = f" of at most {progress.tested:,}" if progress.tested else ""
        return f"certifying: {tested:,}{most} answers to test questions", _share(tested, progress.tested)
    return f"{progress.phase}: {trials} trials", 1.0 if progress.phase == "done" else _share(trials, explored)


def newest(jobs: Iterable[JobRecord], kind: str, options: Sequence[str]) -> JobRecord | None:
    """Return the newest job of a kind with exactly these options."""
    request = {"options": list(options)}
    return max(
        (job for job in jobs if job.kind == kind and json.loads(job.request) == request),
        key=lambda job: job.id,
        default=None,
    )


def log_tail(text: str, lines: int) -> str:
    """Return the last lines of a log, each as it was when its writer went on to the next."""
    return "\n".join(_OVERWRITTEN.sub("", text).splitlines()[-lines:])


def job_commands(url: str, job: JobRecord) -> str:
    """Return the commands that do from a shell what the page does, one a line, without a password."""
    number, storage = str(job.id), ("--storage", url)
    acts = {"queued": ["cancel"], "running": ["cancel"], "cancelled": ["resume"], "failed": ["resume"]}
    return "\n".join(
        shell_command("python", "-m", "search.jobs", act, number, *storage)
        for act in ("logs", *acts.get(job.state, []))
    )


def _is_process(lease: Lease, job: JobRecord) -> bool:
    return (lease.host, lease.pid, lease.birth) == (job.host, job.process_pid, job.process_birth)


def _is_searched(study: StudySummary, values: Mapping[str, Any]) -> bool:
    key = study.key
    if (key.model, key.seed, key.dtype) != (values["model"], values["seed"], values.get("dtype", "auto")):
        return False
    named = list(values["benchmarks"])
    return bool(key.source) if values["data"] else key.benchmark in named or named == ["all"]


def _of(done: int, most: int) -> str:
    return f"{done:,} of {most:,}" if most >= done and most > 0 else f"{done:,}"


def _share(done: int, most: int) -> float | None:
    return min(1.0, done / most) if most > 0 else None
