"""Keep images that a source holds inside its own file, as files that questions can name."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for images that are no files of the user's."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "himap-search"


def keep_bytes(content: bytes) -> Path:
    """Write an image file's bytes into the cache under their digest, and return the path; one copy of each."""
    digest = hashlib.sha256(content).hexdigest()
    path = cache_folder() / "images" / "own" / digest[:2] / digest
    if not path.is_file() or path.stat().st_size != len(content):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return path.resolve()
