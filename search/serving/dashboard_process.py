"""The dashboard as a process that ends with its service: `streamlit run` with standard input as its lifeline."""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from himap.urls import without_password
from search.errors import UsageError
from search.serving import lifeline
from search.serving.process_log import ProcessLog
from storage.commands import password_variables

ROOT = Path(__file__).resolve().parents[2]
_FIRST_PORT, _PORTS = 8501, 50
_SECONDS = 60.0  # to answer


@contextmanager
def dashboard(url: str, port: int | None, listen: str = "localhost", options: Sequence[str] = ()) -> Iterator[str]:
    """Run the dashboard on a store, and yield its address once it answers.

    Args:
        port: None takes the first free one.
        listen: the address of this machine where it listens.
        options: further ones of `dashboard/app.py`.

    Raises:
        UsageError: the port is taken, other machines would reach it without sign-in, or it does not start.
    """
    port = _free_port(port)
    server = ["run", str(ROOT / "dashboard" / "app.py"), "--server.headless", "true", "--server.port", str(port)]
    server += ["--server.address", listen]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, *server, "--", "--storage", without_password(url), *options],
        env={**os.environ, "PYTHONPATH": path, **password_variables(url)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    log, every = ProcessLog(process.stderr, url), listen in ("0.0.0.0", "::")
    try:
        tail = f":{port}/{os.environ.get('STREAMLIT_SERVER_BASE_URL_PATH', '').strip('/')}".rstrip("/")
        host = f"[{listen}]" if ":" in listen else listen
        _wait_until_healthy(process, f"http://{'localhost' if every else host}{tail}", log)
        yield f"http://{socket.gethostname() if every else host}{tail}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port(port: int | None) -> int:
    for candidate in [port] if port is not None else range(_FIRST_PORT, _FIRST_PORT + _PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except (OSError, OverflowError):
                continue
            return candidate
    raise UsageError(f"got no free port for the dashboard, tried {port or _FIRST_PORT}; choose another with --port")


def _wait_until_healthy(process: subprocess.Popen[bytes], address: str, log: ProcessLog) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    log.close()
    if "error: got" in log.text:
        raise UsageError(log.last_error)
    raise UsageError(
        f"the dashboard does not answer at {address}; see why with `streamlit run {ROOT / 'dashboard' / 'app.py'}`, "
        "or start with --no-dashboard"
    )


if __name__ == "__main__":
    lifeline.hold()
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)
