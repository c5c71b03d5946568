"""Starts a web server for a measurement and waits until it answers."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(command: Sequence[str], address: str, health: str) -> Iterator[str]:
    """The address of a server while it runs."""
    process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"{address}{health}", timeout=2)
                break
            except OSError as error:
                if process.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)} ended by itself") from error
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def serving(storage: str, app: Path = ROOT / "dashboard" / "app.py") -> Iterator[str]:
    """The address of our dashboard on that store, or of another Streamlit page."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(app)]
    command += ["--server.port", str(port), "--server.headless", "true", "--", "--storage", storage]
    with running(command, f"http://localhost:{port}", "/_stcore/health") as address:
        yield address
