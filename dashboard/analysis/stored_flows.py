"""Information flow as `python -m objectives.flow` measured it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.errors import DataError
from objectives.flow import results

MAX_BYTES = 200_000_000


@dataclass(frozen=True)
class StoredFlow:
    """The flow of one model on one benchmark; `summary` is as docs/flow.md lists it."""

    model: str
    benchmark: str
    n: int
    weights: str
    summary: Mapping[str, Any]

    @property
    def claims(self) -> list[tuple[str, str]]:
        """The paper's claims, and whether this model agrees."""
        return [(str(one["claim"]), str(one["verdict"])) for one in self.summary["hypotheses"]]


def read_all(folder: Path) -> list[StoredFlow]:
    """Return the complete flows in a folder, without subfolders and links; any other file is skipped."""
    paths = [path for path in sorted(folder.glob("*.json")) if path.is_file() and not path.is_symlink()]
    flows = [_read(path) for path in paths if path.stat().st_size <= MAX_BYTES]
    return [flow for flow in flows if flow is not None]


def _read(path: Path) -> StoredFlow | None:
    try:
        document = results.read(path)
        if not document["complete"]:
            return None
        key, summary = document["key"], document["summary"]
        _ = summary["saliency"]["visual_textual"][0]["mean"], summary["bias_ratio"][0], summary["hypotheses"]
        return StoredFlow(str(key["model"]), str(key["benchmark"]), int(key["n"]), str(key["weights_digest"]), summary)
    except (DataError, ValueError, LookupError, TypeError):
        return None
