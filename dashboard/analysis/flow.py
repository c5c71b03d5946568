"""Information flow as `python -m objectives.flow` measured it, read from its JSON files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.flow.results import KIND, SCHEMA

LARGEST = 200_000_000


@dataclass(frozen=True)
class Flow:
    """One measured pair; `summary` is as docs/flow.md lists it."""

    model: str
    benchmark: str
    n: int
    weights: str
    summary: Mapping[str, Any]


def read_all(folder: Path) -> list[Flow]:
    """The complete flows in a folder, files only and not below it; what is no flow is passed over."""
    found = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
            continue
        flow = _read(path)
        if flow is not None:
            found.append(flow)
    return found


def _read(path: Path) -> Flow | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["kind"] != KIND or document["schema"] != SCHEMA or not document["complete"]:
            return None
        key, summary = document["key"], document["summary"]
        _ = summary["saliency"]["visual_textual"][0]["mean"], summary["bias_ratio"][0], summary["hypotheses"]
        names = str(key["model"]), str(key["benchmark"])
        return Flow(*names, int(key["n"]), str(key["weights_digest"]), summary)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def claims(flow: Flow) -> list[tuple[str, str]]:
    """The paper's claims, and whether this model agrees."""
    return [(str(one["claim"]), str(one["verdict"])) for one in flow.summary["hypotheses"]]
