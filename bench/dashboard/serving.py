"""Start a web server or a browser for a measurement."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_OFF = ("sandbox", "first-run"), ("gpu", "quic", "background-networking", "component-update", "sync")
_FLAGS = [*(f"--no-{name}" for name in _OFF[0]), *(f"--disable-{name}" for name in _OFF[1])]


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a headless Chromium of Playwright: the installed one, else Playwright's own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(command: Sequence[str], address: str, health: str, cwd: str | Path = "/") -> Iterator[str]:
    """Run a server in a folder, wait until it answers at `health`, and yield its address."""
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"{address}{health}", timeout=2)
                break
            except OSError as error:
                if process.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)} ended by itself") from error
                time.sleep(0.1)
        else:
            raise RuntimeError(f"{' '.join(command)} does not answer at {address}{health}")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def server(port: int, storage: str, *options: str, app: Path = ROOT / "dashboard" / "app.py") -> list[str]:
    """Return the command that serves the dashboard, or another Streamlit page; `options` are Streamlit's."""
    command = [sys.executable, "-m", "streamlit", "run", str(app), "--server.port", str(port)]
    return [*command, "--server.headless", "true", *options, "--", "--storage", storage]


@contextmanager
def serving(storage: str, app: Path = ROOT / "dashboard" / "app.py") -> Iterator[str]:
    """Run the dashboard on a store, or another Streamlit page, and yield its address."""
    port = free_port()
    with running(server(port, storage, app=app), f"http://localhost:{port}", "/_stcore/health") as address:
        yield address
