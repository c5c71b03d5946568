"""Write JSON that every reader takes; read JSON of unknown quality, where every fault becomes a DataError."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from himap.errors import shown
from himap.files import read_bounded
from objectives.errors import DataError


def json_text(document: Any, indent: int | None = None) -> str:
    """Return a document as strict JSON: what is not a finite number becomes null, text stays text."""
    return json.dumps(_finite(document), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_text(path: Path) -> str:
    """Read a UTF-8 text file without its byte-order mark; raise DataError where it is none, or empty."""
    try:
        text = read_bounded(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}); expected a file") from None
    if not text.strip():
        raise DataError(f"{path} is empty")
    return text


def parse(text: str) -> Any:
    """Parse a JSON value; raise ValueError for everything else, repeated fields, huge numbers and deep nesting, too."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object; refuse a field that stands twice: readers differ in which one they take."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        repeated, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the field {repeated[:40]!r} stands twice")
    return fields


def read_json(path: Path) -> Any:
    """Read the value of a JSON file; raise DataError as `read_text`, or where it is not JSON."""
    try:
        return parse(read_text(path))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read objects, one per line or all in one JSON list; raise DataError as `read_json`, or for other values."""
    text = read_text(path)
    if text.lstrip().startswith("["):
        rows = read_json(path)
    else:
        rows = [_row(path, number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} holds values that are not objects; expected one object for each question")
    return rows


def _row(path: Path, number: int, line: str) -> Any:
    try:
        return parse(line)
    except ValueError as error:
        raise DataError(f"{path} line {number} is not JSON: {error}") from None


def find(path: Path, names: Iterable[str], what: str) -> Path:
    """Return `path` if it is a file, else the first of `names` in that folder or one below it, or raise DataError."""
    if path.is_file():
        return path
    names = list(names)
    for name in names:
        for candidate in (path / name, *sorted(path.glob(f"*/{name}"))):
            if candidate.is_file():
                return candidate
    note = "that folder" if path.is_dir() else "there is no such folder"
    raise DataError(f"found no {what} in {path} ({note}); expected {' or '.join(names)}")


def field(row: Mapping[str, Any], name: str, path: Path | str) -> Any:
    """Return `row[name]`, or raise a DataError that lists the fields of the row, or says that it is no object."""
    if not isinstance(row, Mapping):
        raise DataError(f"{path}: got {shown(row)}; expected an object with {name!r}")
    if name not in row:
        has = ", ".join(shown(one) for one in sorted(map(str, row))[:12])
        raise DataError(f"{path}: a record lacks {name!r}; it has {has or 'nothing'}")
    return row[name]
