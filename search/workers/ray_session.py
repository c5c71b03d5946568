"""Start Ray without its takeover of signals, in a folder that is short enough for its sockets."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray

from search.errors import UsageError

_LONGEST_SOCKET = 107  # bytes of a path, Linux's limit
_SESSION = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")  # what Ray appends
_PREFIX = "himap-"
_locks: dict[Path, int] = {}  # descriptors of the folders of this process


def init(**options: Any) -> None:
    """Call `ray.init`, and keep this process's handlers of signals.

    Ray would end the process at SIGTERM behind our back, its native part with a stack trace.
    """
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")
    theirs = ray._private.utils.set_sigterm_handler
    ray._private.utils.set_sigterm_handler = lambda handler: None
    try:
        ray.init(log_to_driver=False, configure_logging=False, **options)
    finally:
        ray._private.utils.set_sigterm_handler = theirs


def remove(folder: Path) -> None:
    """Remove a folder of Ray that was stopped, and end what an interrupted start left: it would write there again."""
    if folder in _locks:
        os.close(_locks.pop(folder))
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (process / "cmdline").read_bytes()
            if os.fsencode(folder) in line and b"/ray/" in line:
                os.kill(int(process.name), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def keep(folder: Path) -> None:
    """Leave a folder of Ray with its logs, which then belongs to no search."""
    (folder / "lock").unlink(missing_ok=True)


def _locked(folder: Path, flags: int = 0) -> int:
    """Return a descriptor that holds the folder's lock until it is closed or this process ends, however it ends.

    Raises:
        OSError: another process holds it, or there is none.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_abandoned(place: Path) -> None:
    """Remove the folders of searches that were killed, with what still runs there."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            os.close(_locked(folder))
            remove(folder)


def temporary_folder(candidates: Sequence[str] | None = None) -> Path:
    """Make and return a folder for Ray's sockets and logs.

    Args:
        candidates: where to, the first that fits; None takes RAY_TMPDIR, TMPDIR and the system's own.

    Raises:
        UsageError: none is a folder to write to with a path that Ray can use.
    """
    if candidates is None:
        candidates = [os.environ.get("RAY_TMPDIR", ""), os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp", "/dev/shm"]
    longest = _LONGEST_SOCKET - _SESSION - len(f"/{_PREFIX}12345678")
    for place in candidates:
        if re.fullmatch(f"/[ -~]{{,{longest - 1}}}", place):
            try:
                _remove_abandoned(Path(place))
                folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
                _locks[folder] = _locked(folder, os.O_CREAT)
            except OSError:
                continue
            return folder
    raise UsageError(
        f"got no temporary folder for Ray's sockets, tried {', '.join(filter(None, candidates))}; expected one to "
        f"write to with an ASCII path of at most {longest} characters: set RAY_TMPDIR=/SHORT/FOLDER"
    )
