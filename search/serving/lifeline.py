"""End a process together with the one that started it, however that ended."""

from __future__ import annotations

import os
import signal
import threading

_STDIN = 0


def first_line() -> bytes:
    """Return the first line of standard input; empty where it ended before. What follows stays unread."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(_STDIN, 1)
        if not byte:
            return b""
        line += byte
    return line


def hold() -> None:
    """Kill this process once standard input ends: whoever held its other end is gone.

    A thread waits for that, so this works on every system and also while the process is busy.
    """

    def watch() -> None:
        while os.read(_STDIN, 1024):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
