"""Presets: one measured configuration as a readable YAML file, schema 1.

The dashboard and the search write the same bytes for the same trial; `himap.load_preset` reads them back.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from numbers import Integral
from pathlib import Path
from typing import Any

import yaml

from storage.errors import RecordError
from storage.records import StudyKey, Trial

PRESET_SCHEMA = 1
PRESET_KIND = "himap-preset"
ESTIMATE = "validation estimate, not confirmed on held-out data"
HEADER = "# A HiMAP pruning preset. Load it with himap.load_preset(path).\n"

_CONFIGURATION = ("k1", "r1", "k2", "r2", "phi_shallow", "phi_deep", "seed")
_MEASURED = (
    "accuracy", "accuracy_low", "accuracy_high", "n", "paper_flops", "flops", "flops_ratio", "latency_ms",
    "image_tokens", "tokens_after_k1", "tokens_after_k2",
)  # fmt: skip


def preset_document(key: StudyKey, trial: Trial) -> dict[str, Any]:
    """The preset as plain numbers, texts and dicts, in the order in which it is written.

    A number that was not measured (NaN) becomes None. Raises RecordError for a failed or stopped trial.
    """
    if not trial.complete:
        raise RecordError(
            f"trial {trial.number} of {key.name} {trial.state} ({trial.reason}); "
            "choose a completed trial to export"
        )
    return {
        "schema": PRESET_SCHEMA,
        "kind": PRESET_KIND,
        "configuration": {name: _plain(getattr(trial, name)) for name in _CONFIGURATION},
        "model": {"name": key.model, "weights_digest": key.weights_digest},
        "benchmark": {"name": key.benchmark, "split": key.split, "n": key.n_questions},
        "measured": {name: _plain(getattr(trial, name)) for name in _MEASURED},
        "provenance": {
            "study": key.name,
            "trial": trial.number,
            "seed": key.seed,
            "device": trial.device,
            "commit": trial.commit,
            "versions": {str(name): str(version) for name, version in sorted(trial.versions.items())},
            "date": trial.created_at.isoformat(timespec="seconds"),
            "estimate": ESTIMATE,
        },
    }


def preset_yaml(key: StudyKey, trial: Trial) -> str:
    """The preset as YAML text. Raises RecordError for a failed or stopped trial."""
    document = preset_document(key, trial)
    return HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def preset_filename(key: StudyKey, trial: Trial | None = None) -> str:
    """`MODEL-BENCHMARK.yaml`, or with a trial `MODEL-BENCHMARK-trial-N.yaml`; only letters, digits, `._-`."""
    parts = [key.model, key.benchmark] + ([] if trial is None else [f"trial-{trial.number}"])
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip(".-")
    return f"{slug or 'preset'}.yaml"


def write_preset(path: str | Path, key: StudyKey, trial: Trial) -> Path:
    """Write the preset so that a reader sees the old file or the new one, never half of one.

    Missing parent folders are created. Returns the path. Raises RecordError for a failed trial, OSError
    when the place cannot be written.
    """
    text = preset_yaml(key, trial)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes it private; a preset is meant to be shared
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _plain(value: Any) -> Any:
    """A Python number or text that YAML writes plainly, whatever numeric type came in."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return int(value) if isinstance(value, Integral) else float(value)
