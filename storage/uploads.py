"""Keep uploaded questions and images as files: one folder per upload, named by a digest of what it holds.

Nothing of an upload is trusted: no name leads out of the folder, links and unknown kinds of files are never written,
and unpacking stops at the limits, whatever a zip says of itself.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import stat
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from himap.errors import first_line
from storage.errors import StorageError

TABLES = (".jsonl", ".json", ".csv", ".tsv")  # text; Parquet can hold far more than its size
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_ENTRY = b"PK\x01\x02"  # in front of each entry of a zip's list
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others need memory as the file demands
_LONGEST_PART, _LONGEST_NAME = 200, 1_000  # bytes
_BLOCK = 2**20


class UploadError(StorageError):
    """An upload cannot be used: it is hostile, damaged, too large, or holds no questions."""


@dataclass(frozen=True)
class UploadLimits:
    """What an upload may have: bytes in all, unpacked; files in all; uploads in one folder."""

    size: int = 200_000_000
    files: int = 5_000
    uploads: int = 1_000


@dataclass(frozen=True)
class Upload:
    """Files that are kept: the one of questions, how many images, and the names of files of other kinds, left out."""

    data: Path
    images: int
    left_out: tuple[str, ...] = ()


def keep_upload(root: Path, files: Sequence[tuple[str, bytes]], limits: UploadLimits | None = None) -> Upload:
    """Write uploaded files into a folder of their own below `root`; the same files again take the same folder.

    Args:
        root: is created if it is missing.
        files: names and contents; zips are unpacked.

    Raises:
        UploadError: it is over a limit, has a name that leads elsewhere, a link, no questions or two files of them, or
            cannot be unpacked or written. Nothing is left behind.
    """
    limits = limits or UploadLimits()
    unfinished = root / f".{uuid.uuid4().hex}"
    try:
        unfinished.mkdir(parents=True)
        if sum(1 for _ in root.iterdir()) > limits.uploads:
            raise UploadError(f"{root} holds {limits.uploads} uploads; expected fewer; delete those of finished jobs")
        names, left_out = _write(unfinished, files, limits)
        folder = root / _digest(unfinished, names)
        if not folder.is_dir():
            unfinished.rename(folder)
    except OSError as error:
        raise UploadError(f"cannot keep the upload in {root} ({error.strerror or first_line(error)})") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    tables = [name for name in names if name.lower().endswith(TABLES)]
    return Upload(folder / tables[0], len(names) - 1, tuple(left_out))


def _write(folder: Path, files: Sequence[tuple[str, bytes]], limits: UploadLimits) -> tuple[list[str], list[str]]:
    """Write the files, and return their names, and those of files that were left out."""
    names: list[str] = []
    left_out: list[str] = []
    room = limits.size
    for name, blocks in _entries(files, limits):
        if len(names) + len(left_out) >= limits.files:
            raise UploadError(f"got more than {limits.files:,} files; expected fewer; upload them in parts")
        if not name.lower().endswith((*TABLES, *IMAGES)):
            left_out.append(name)
            continue
        if name in names:
            raise UploadError(f"got two files of the name {_shown(name)}; expected one")
        names.append(name)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for block in blocks:
                room -= len(block)
                if room < 0:
                    raise UploadError(f"got more than {limits.size // 10**6:,} MB unpacked; expected less")
                file.write(block)
    tables = [name for name in names if name.lower().endswith(TABLES)]
    if len(tables) != 1:
        got = ", ".join(map(_shown, tables[:5])) or "none"
        raise UploadError(f"expected one file of questions ({', '.join(TABLES)}), got {got}; add or leave out files")
    return names, left_out


def _entries(files: Sequence[tuple[str, bytes]], limits: UploadLimits) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the safe name and the content of each file, those in zips too."""
    for name, content in files:
        if name.lower().endswith(".zip"):
            with _readable(name):
                yield from _unpacked(name, content, limits)
        else:
            yield _safe(name), iter((content,))


def _unpacked(name: str, content: bytes, limits: UploadLimits) -> Iterator[tuple[str, Iterator[bytes]]]:
    if content.count(_ENTRY) > 2 * limits.files:  # before its list takes memory
        raise UploadError(f"{_shown(name)} holds more than {limits.files:,} files; upload them in parts")
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        for entry in packed.infolist():
            if entry.is_dir():
                continue
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise UploadError(f"{_shown(entry.filename)} in {_shown(name)} is a link or a device; expected files")
            if entry.flag_bits & 1:
                raise UploadError(f"{_shown(name)} is encrypted; expected a zip without a password")
            if entry.compress_type not in _METHODS:
                raise UploadError(f"{_shown(name)} is packed in a way that is not read; make the zip with Deflate")
            inner = _safe(entry.filename)
            if not inner.startswith("__MACOSX/") and not Path(inner).name.startswith("."):  # notes of file managers
                yield inner, _blocks(name, packed, entry)


def _blocks(name: str, packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    with _readable(name), packed.open(entry) as file:
        while block := file.read(_BLOCK):
            yield block


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except UploadError:
        raise
    except Exception as error:  # zipfile raises anything at a damaged file
        raise UploadError(f"{_shown(name)} cannot be unpacked ({first_line(error)}); make the zip anew") from error


def _safe(name: str) -> str:
    """Return a name as a relative path of plain parts.

    Raises:
        UploadError: it is absolute, has a drive, leads upwards, or no file could have it everywhere.
    """
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or re.match("[A-Za-z]:", path):
        raise UploadError(f"got a file named {_shown(name)}, which leads out of its folder; expected a relative path")
    if not parts or not path.isprintable() or any(len(part.encode()) > _LONGEST_PART for part in parts):
        raise UploadError(f"got a file named {_shown(name)}; expected a short name of printable letters")
    if len(path.encode()) > _LONGEST_NAME:
        raise UploadError(f"got a file named {_shown(name)}; expected fewer folders in each other")
    return "/".join(parts)


def _shown(name: str) -> str:
    """Return a name for messages: one line, with escapes for what is not printable, and not long."""
    text = ascii(name) if not name.isprintable() else repr(name)
    return text if len(text) <= 100 else f"{text[:60]} ... {text[-20:]}"


def _digest(folder: Path, names: Sequence[str]) -> str:
    """Return a name that changes with any name or content."""
    whole = hashlib.sha256()
    for name in sorted(names):
        with (folder / name).open("rb") as file:
            whole.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()[:32]
