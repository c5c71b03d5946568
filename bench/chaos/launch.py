"""Launches as real processes, and how to kill them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
TITLES = {"worker": "ray::_Evaluator", "raylet": "raylet/raylet"}
_LATEST = 300.0  # seconds without a process to kill after which a launch counts as stuck


class SearchProcess:
    """`python -m search.launch` with some arguments, which can be started again."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self._command = [sys.executable, "-m", "search.launch", "--no-certify", *arguments]
        self._folder = folder
        self._log = (folder / "launch.log").open("a")
        self.starts = 0
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            self._command, cwd=self._folder, env=environment, start_new_session=True, stdout=self._log, stderr=self._log
        )

    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._process.poll()

    def start_again(self) -> None:
        """Run the same command once more, after it ended."""
        self._process.wait()
        self._process = self._start()

    def processes(self, target: str) -> list[int]:
        """Return the ids of the launch's running processes of that kind."""
        if target == "driver":
            return [self._process.pid]
        try:
            children = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [child.pid for child in children if TITLES[target] in _title(child)]

    def close(self) -> None:
        """End it, if it still runs."""
        if self.exit_code() is None:
            self._process.terminate()
            self._process.wait(120)
        self._log.close()


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()[:1]) if process.status() != psutil.STATUS_ZOMBIE else ""
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def kill_one(launch: SearchProcess, target: str, rng: random.Random) -> bool:
    """Kill one process of the kind by SIGKILL; return False if the launch ended before there was one."""
    ids = wait_for(lambda: launch.processes(target) or launch.exit_code() is not None, _LATEST)
    if ids is True:
        return False
    try:
        psutil.Process(rng.choice(ids)).kill()
    except psutil.NoSuchProcess:
        return False
    return True


def wait_for(condition: Callable[[], Any], seconds: float) -> Any:
    """Return the condition's first true value; raise TimeoutError if there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise TimeoutError(f"got nothing within {seconds:.0f} s; see launch.log")
