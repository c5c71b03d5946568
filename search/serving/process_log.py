"""What a process prints, read while it runs; the end of it where it is long."""

from __future__ import annotations

import codecs
import os
import threading
from contextlib import suppress
from typing import IO

from himap.urls import mask_words

_LONGEST = 200_000  # letters that are kept


class ProcessLog:
    """Reads a pipe in a thread.

    Args:
        url: of the store, whose password no line may show.
    """

    def __init__(self, pipe: IO[bytes], url: str) -> None:
        self._pipe, self._url = pipe, url
        self._text, self._lock = "", threading.Lock()
        self._thread = threading.Thread(target=self._read, name="log", daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """What was printed so far."""
        with self._lock:
            return mask_words(self._text, [self._url])

    @property
    def last_error(self) -> str:
        """The last error line, else the last line."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return (errors or lines or [""])[-1]

    def close(self, seconds: float = 1.0) -> None:
        """Wait a moment for the rest, which a process that is left below the ended one may hold back."""
        self._thread.join(seconds)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with suppress(OSError, ValueError):  # the pipe was closed, while a process below still holds it
            while block := os.read(self._pipe.fileno(), 65_536):
                with self._lock:
                    self._text = (self._text + decoder.decode(block))[-_LONGEST:]
