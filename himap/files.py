"""Read files within bounds, and write files that a reader sees whole or not at all."""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path

MOST_BYTES = 2**29  # of a file with questions or answers


def read_bounded(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a file, or of a pipe that something writes to; never wait for a writer.

    Raises:
        OSError: the file cannot be read, or holds more than `most` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        os.set_blocking(descriptor, True)
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    return content


def write_atomically(path: str | Path, text: str) -> Path:
    """Write a text file so that a reader sees the old content or the new one, never half of one; return its path.

    Missing parent folders are created. A link stays and its target is written, an existing file keeps its mode, a new
    one gets that of the umask. What is no regular file, such as /dev/stdout, is written as it is.

    Raises:
        OSError: the file cannot be written.
    """
    shown = Path(path)
    if shown.exists() and not shown.is_file():
        shown.write_text(text, encoding="utf-8")
        return shown
    target = Path(os.path.realpath(shown))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")  # short, as the target's name may be of the longest
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(shown)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return shown
