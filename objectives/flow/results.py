"""Store the flow of one model on one benchmark: a self-describing JSON file, see docs/flow.md. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from himap.files import write_atomically
from objectives.errors import DataError
from objectives.json_files import json_text, parse

KIND, SCHEMA = "himap-flow", 1


def file_name(key: Mapping[str, Any]) -> str:
    """Return `MODEL-BENCHMARK-nN-WEIGHTS.json`: other weights or another n never overwrite a result."""
    parts = [key["model"], key["benchmark"], f"n{key['n']}", key["weights_digest"][:8]]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(map(str, parts))) + ".json"


def read(path: Path) -> dict[str, Any]:
    """Read a stored flow, complete or not; a complete one has a "summary".

    Raises:
        DataError: no such file, or not a flow of this schema.
    """
    try:
        document = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the flow in {path} ({error}); expected a file by objectives.flow") from None
    if not isinstance(document, dict) or document.get("kind") != KIND or document.get("schema") != SCHEMA:
        raise DataError(f"{path} holds no flow of schema {SCHEMA}; expected a file by objectives.flow")
    return document


def start(folder: Path, key: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Return the file of a flow and its document so far; a new document where there is no file.

    Args:
        key: model, weights, benchmark, split and n of the flow.

    Raises:
        DataError: the file belongs to another flow.
    """
    path = folder / file_name(key)
    if not path.exists():
        return path, {"kind": KIND, "schema": SCHEMA, "key": dict(key), "complete": False, "record": {}}
    document = read(path)
    if document["key"] != dict(key):
        raise DataError(f"got the flow of {document['key']} in {path}; move it away, or choose another --out")
    return path, document


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write the file as a whole: a reader sees the old one or the new one."""
    write_atomically(path, json_text(document))
