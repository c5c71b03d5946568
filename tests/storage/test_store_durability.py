"""Real processes: killed right after a commit, opening a new store at once, writing at the same time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from storage import StudyKey, open_store

ROOT = Path(__file__).resolve().parents[2]

COMMON = """
import sys
from himap import PruningConfig
from storage import DuplicateTrialError, StudyKey, Trial, open_store
key = StudyKey("m", "d", "pope", "validation", 2, 0, "s")
def trial(number):
    return Trial(number, "complete", "sampler", PruningConfig(2, 50, 8, 75), accuracy=0.5, scores=(0.0, 1.0))
"""

WRITER = (
    COMMON
    + """
store = open_store(sys.argv[1])
study = store.study(key)
for number in range(10_000):
    store.add(study, trial(number))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""
)

OPENER = (
    COMMON
    + """
print("ready", flush=True)
sys.stdin.readline()
store = open_store(sys.argv[1])
study = store.study(key)
for number in range(20):
    try:
        store.add(study, trial(number))
    except DuplicateTrialError:
        pass
print(study)
"""
)


def run(program: str, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_kill_right_after_add_loses_nothing_and_the_next_run_resumes(url: str) -> None:
    process = run(WRITER, url)
    assert process.stdout is not None
    stored = -1
    for line in process.stdout:
        stored = int(line)
        if stored == 25:
            process.send_signal(signal.SIGKILL)
            break
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    finished = [line for line in rest.split("\n")[:-1] if line]
    stored = int(finished[-1]) if finished else stored
    with open_store(url) as store:
        study = store.study(StudyKey("m", "d", "pope", "validation", 2, 0, "s"))
        trials = store.trials(study)
        numbers = [trial.number for trial in trials]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) - 1 in (stored, stored + 1)  # the last may be committed but not yet printed
        assert all(trial.scores == (0.0, 1.0) for trial in trials)


@pytest.mark.parametrize("processes", [4])
def test_many_processes_open_a_new_store_at_once(url: str, processes: int) -> None:
    running = [run(OPENER, url) for _ in range(processes)]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120) for process in running]
    assert [error for _, error in outputs] == [""] * processes
    assert len({output for output, _ in outputs}) == 1
    with open_store(url) as store:
        (summary,) = store.studies()
        assert summary.trials == 20
        numbers = Counter(trial.number for trial in store.trials(summary.id))
        assert numbers == Counter(range(20))


def test_many_threads_open_new_files_at_once(tmp_path: Path) -> None:
    """Tighter than processes: without its retry, the switch to WAL fails here with "database is locked"."""
    threads = 8
    start = Barrier(threads)

    def opened(url: str) -> str:
        start.wait()
        with open_store(url) as store:
            return store.version_stamp()

    with ThreadPoolExecutor(threads) as pool:
        for round_ in range(12):
            url = f"sqlite:///{tmp_path / f'{round_}.db'}"
            assert list(pool.map(opened, [url] * threads)) == ["0.0"] * threads
