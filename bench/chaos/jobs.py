"""Kill the runner of a job again and again.

    python -m bench.chaos.jobs --kills 20

A job of `steps` makes one file after another in a folder, each of them once, as a search stores one trial after
another. One that ran twice at a time, or again from the start, would meet a file that is there already and fail.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import command
from bench.measuring import provenance
from storage import JobQueue, JobRecord, open_store

ROOT = Path(__file__).resolve().parents[2]
RUNNER = """
import sys
from objectives.options import stopping_signals
from search.serving.runner import JobRunner
from storage import JobQueue, open_store
url, *command = sys.argv[1:]
with open_store(url) as store:
    runner = JobRunner(JobQueue(store), url, None, lambda line: print(line, flush=True), command)
    with stopping_signals(runner.on_signal):
        runner.run(until_idle=True)
"""
STEPS = """
import json, os, sys, time
from search.serving import lifeline
order = json.loads(lifeline.first_line())
lifeline.hold()
work = json.loads(order["request"])["options"]
folder, steps, seconds = work[0], int(work[1]), float(work[2])
done = len(os.listdir(folder))
print("from step", done, flush=True)
for step in range(done, steps):
    time.sleep(seconds)
    os.close(os.open(os.path.join(folder, str(step)), os.O_CREAT | os.O_EXCL))
"""
NOTED = 'read -r line; printf "%s\\n" "$line" >> "$0"'  # a job that only adds its order to a file


def runner(url: str, *command: str | Path) -> subprocess.Popen[str]:
    """Start a runner whose jobs are processes of that command; it ends when it is idle."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, url, *map(str, command)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def submit(url: str, *options: object, count: int = 1) -> list[int]:
    """Queue jobs with these options, and return their numbers."""
    request = json.dumps({"options": list(map(str, options))})
    with open_store(url) as store:
        queue = JobQueue(store)
        return [queue.submit(JobRecord("flow", request, str(ROOT), "bench")).id for _ in range(count)]


def jobs(url: str) -> list[JobRecord]:
    """Return the jobs of a store."""
    with open_store(url, readonly=True) as store:
        return JobQueue(store).jobs()


def kill_runners(url: str, folder: Path, kills: int, rng: random.Random, seconds: float = 0.02) -> dict[str, Any]:
    """Kill the runner of one job again and again, each time after a few of its steps, and return what came of it."""
    steps = 10 * (kills + 1)
    (number,) = submit(url, folder, steps, seconds)
    command = (sys.executable, "-c", STEPS)
    for kill in range(kills):
        process = runner(url, *command)
        wait_for(partial(_is_beyond, folder, 8 * kill, rng), 60)
        process.kill()
        process.communicate()
    process = runner(url, *command)
    output, _ = process.communicate(timeout=120)
    (job,) = [one for one in jobs(url) if one.id == number]
    return {
        "kills": kills,
        "state": job.state,
        "starts": job.starts,
        "crashes": job.crashes,
        "missing": steps - len(os.listdir(folder)),
        "output": output,
    }


def _is_beyond(folder: Path, steps: int, rng: random.Random) -> bool:
    return len(os.listdir(folder)) > steps + rng.randrange(8)


def main(arguments: list[str] | None = None) -> int:
    """Print what came of the job; exit code 1 unless it finished, with each step made once."""
    parser = command.parser("bench.chaos.jobs", __doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        (folder := Path(name, "steps")).mkdir()
        result = kill_runners(f"sqlite:///{name}/himap.db", folder, options.kills, random.Random(options.seed))
    command.show({**result, **provenance()})
    return 0 if result["state"] == "finished" and not result["missing"] and not result["crashes"] else 1


def wait_for(condition: Callable[[], Any], seconds: float) -> Any:
    """Return the condition's first true value; raise TimeoutError if there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise TimeoutError(f"got nothing within {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
