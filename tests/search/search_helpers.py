"""What the search tests share: made-up measurements, a pool without Ray, and launches as real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from himap import PruningConfig
from objectives.data.source import QuestionSet
from search.launch import main
from search.running import launch_run
from search.sampling.space import SearchSpace
from search.studies.lease_holder import LeaseHolder
from search.studies.store_writer import StoreWriter
from search.studies.study import Baseline, Study
from search.studies.study_run import StudyRun
from search.workers.cluster import Cluster
from search.workers.jobs import Job, Outcome, WorkerPool
from search.workers.pool import Pool
from search.workers.timeouts import TimeLimits
from search.workers.trial_runner import TrialRunner
from storage import Store, StudyKey, Trial, open_store
from storage.records import Measurement

ROOT = Path(__file__).parents[2]
LAYERS, IMAGE_TOKENS = 12, (144,)
# Ray's workers step back behind whatever else runs, so far that on a busy machine they hardly run at all.
EVEN = {"RAY_worker_niceness": "0"}
PASSWORD = "p@ss:w0rd/s3cret"
PARTS = re.compile("p@ss|p%40ss|w0rd|s3cret|ss:w")
KEY = StudyKey("tiny", "0" * 64, "pope", "validation", 20, 0, "two-cuts-2")
BASELINES: list[Baseline] = [("dense", PruningConfig.dense()), ("paper", PruningConfig.paper())]


def made_up(config: PruningConfig) -> dict[str, Any]:
    """Measured fields that depend on the configuration alone: fewer tokens cost less and earn less."""
    after_k1, after_k2 = config.kept(144)
    ratio = (config.k1 * 144 + (config.k2 - config.k1) * after_k1 + (LAYERS - config.k2) * after_k2) / (LAYERS * 144)
    accuracy = 0.3 + 0.6 * ratio**0.5 - (0.05 if "random" in (config.phi_shallow, config.phi_deep) else 0)
    return {
        "flops_ratio": ratio,
        "flops": 1e9 * ratio,
        "paper_flops": 9e8 * ratio,
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.1,
        "accuracy_high": accuracy + 0.1,
        "n": 20,
        "latency_ms": 10 * ratio,
        "seconds": 0.5,
        "device": "none",
    }


def trial(number: int, config: PruningConfig, origin: Any = "sampler", **fields: Any) -> Trial:
    """A trial of `config`: complete as `made_up`, but for `fields`; failed with a reason."""
    if "reason" in fields and fields.get("state") != "pruned":
        return Trial(number, "failed", origin, config, reason=fields["reason"])
    known = {"number": number, "state": "complete", "origin": origin, "config": config, **made_up(config)}
    return Trial(**{**known, **fields})


def measurement(config: PruningConfig, **fields: Any) -> Measurement:
    """What a worker measures: as `made_up`, but for `fields`."""
    return Measurement(**{**made_up(config), **fields})


def measured(job: Job) -> Outcome:
    """The outcome of a job that was measured to its end."""
    return Outcome(job, measurement(job.config))


def open_run(
    store: Store,
    budget: int,
    benchmark: str = "pope",
    *,
    baselines: Sequence[Baseline] = BASELINES,
    holder: LeaseHolder | None = None,
    race: bool = True,
    **options: Any,
) -> StudyRun:
    """A study of the store at random, resumed from its trials; a holder takes its lease."""
    key = replace(KEY, benchmark=benchmark)
    study_id = store.study(key)
    if holder is not None:
        holder.take(study_id, key)
    stored, unfinished = store.trials(study_id), store.running(study_id)
    study = Study(SearchSpace(LAYERS), baselines, IMAGE_TOKENS, "random", 0, stored, unfinished=unfinished, **options)
    writer = StoreWriter(store, holder.owner if holder else "")
    return StudyRun(key, study_id, study, budget, stored, writer, race=race)


def tiny_pool(
    tiny: Path,
    workers: int = 1,
    questions: Mapping[str, QuestionSet] | None = None,
    cluster: Cluster | None = None,
    limits: TimeLimits | None = None,
) -> Pool:
    """A pool of real workers with the tiny checkpoint, 20 validation questions each."""
    return Pool(workers, partial(TrialRunner, str(tiny), "validation", 20, 0, questions), cluster, limits)


class ScriptedPool:
    """A pool without workers: answers each job by `answer`, oldest first, one at a time."""

    def __init__(self, answer: Callable[[Job], Outcome], room: int = 2) -> None:
        self._answer, self._room = answer, room
        self.jobs: list[Job] = []

    @property
    def running(self) -> int:
        return len(self.jobs)

    @property
    def has_room(self) -> bool:
        return len(self.jobs) < self._room

    def prefers(self, benchmark: str) -> bool:
        return True

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def finished(self, timeout: float) -> Iterator[Outcome]:
        yield self._answer(self.jobs.pop(0))


def clockless(trials: list[Trial]) -> list[Trial]:
    """The trials without what a clock says, and the commit of the moment, which may change during a test."""
    clock = ("seconds", "latency_ms", "latency_low_ms", "latency_high_ms", "dense_latency_ms")
    same: dict[str, Any] = dict.fromkeys(clock, 1.0) | {"commit": "", "timings": ()}
    return [replace(trial, created_at=trials[0].created_at, **same) for trial in trials]


started: list[subprocess.Popen[str]] = []


def launch(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """`python -m search.launch --no-certify` in `folder`, in a process group of its own, its output piped."""
    return start(folder, "-m", "search.launch", "--no-certify", *arguments)


def launch_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path, pool: ScriptedPool | None = None
) -> int:
    """The exit code of `launch` in this process, on a scripted pool; without one it is an error to start workers."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(launch_run, "Pool", (lambda *_: nullcontext(pool)) if pool else None)
    return main(["--no-certify", *map(str, arguments)])


def start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """Python in `folder`, as `launch`; what a failed test leaves running ends with it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **EVEN}
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    started.append(process)
    return process


def stored(folder: Path) -> list[Trial]:
    """The trials in the folder's store, which holds one study."""
    with open_store(f"sqlite:///{folder / 'himap.db'}", readonly=True) as store:
        return store.trials(store.studies()[0].id)


def wait_for(condition: Callable[[], Any], seconds: float = 300) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"nothing came within {seconds} s")


def titles() -> str:
    """The command lines of all processes."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            lines.append((process / "cmdline").read_text(errors="replace"))
    return "\n".join(lines)


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all processes below `pid`, by process id."""
    children: dict[int, list[int]] = {}
    titles: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ").strip()
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(entry.name))
    below, waiting = {}, list(children.get(pid, []))
    while waiting:
        child = waiting.pop()
        below[child] = titles[child]
        waiting += children.get(child, [])
    return below


def evaluators(pid: int) -> list[int]:
    """The evaluators below `pid`."""
    return [child for child, title in descendants(pid).items() if title.startswith("ray::_Evaluator")]


def kill_evaluator(pid: int) -> None:
    """SIGKILL for the one evaluator below `pid`."""
    (evaluator,) = evaluators(pid)
    os.kill(evaluator, signal.SIGKILL)


def outcomes(pool: WorkerPool) -> list[Outcome]:
    """Everything that comes until nothing runs."""
    finished: list[Outcome] = []
    while pool.running:
        finished += pool.finished(timeout=60)
    return finished
