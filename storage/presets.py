"""Presets: one measured configuration as a readable YAML file, schema 2.

The dashboard and the search write the same bytes for the same measurement; `himap.load_preset` reads them.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from storage.confirmation import WITHIN, Confirmation, points
from storage.errors import RecordError
from storage.records import QuestionSource, StudyKey, Trial

PRESET_SCHEMA = 2
PRESET_KIND = "himap-preset"
ESTIMATE = "validation estimate, not confirmed on held-out data"
HEADER = "# A HiMAP pruning preset. Use it: with himap.prune(model, THIS_FILE): model.generate(...)\n"

_DECIMALS = 6  # far below what can be measured, and easy to read
_CONFIGURATION = ("k1", "r1", "k2", "r2", "phi_shallow", "phi_deep", "seed")
_AGAINST_DENSE = ("dense_accuracy", "difference", "difference_low", "difference_high")
_COSTS = (
    "paper_flops",
    "flops",
    "flops_ratio",
    "latency_ms",
    "dense_latency_ms",
    "image_tokens",
    "tokens_after_k1",
    "tokens_after_k2",
    "text_tokens",
)

Sources = Mapping[str, QuestionSource]
_EMBEDDED: Sources = MappingProxyType({})


@dataclass(frozen=True)
class Promise:
    """What an exported preset promises: `place` says which point of the front it is, `within` what it may
    lose against dense (of 1), `results` what held-out questions say, by benchmark."""

    place: str
    within: float
    results: Mapping[str, Confirmation]

    @property
    def confirmed(self) -> bool:
        """Whether every benchmark's interval keeps the promise."""
        return all(result.within(self.within) for result in self.results.values())

    @property
    def verdict(self) -> str:
        """One line: "confirmed within 1 point", or "not confirmed: " and the figures of the worst."""
        worst, result = min(self.results.items(), key=lambda each: each[1].difference_low)
        said = result.verdict(self.within)
        if len(self.results) == 1:
            return said
        if self.confirmed:
            return f"{said} on each of {len(self.results)} benchmarks"
        return said.replace("not confirmed:", f"not confirmed: on {worst}", 1)


def preset_document(
    key: StudyKey, trial: Trial, promise: Promise | None = None, sources: Sources = _EMBEDDED
) -> dict[str, Any]:
    """The preset as plain numbers, texts and dicts, in the order in which it is written.

    Without a promise it is an estimate on validation questions, and says so. `sources` tell, by benchmark,
    where questions came from that are not embedded. A number that was not measured (NaN) becomes None.
    Raises RecordError for a failed or stopped trial.
    """
    if not trial.complete:
        raise RecordError(
            f"trial {trial.number} of {key.name} {trial.state} ({trial.reason}); choose a completed trial to export"
        )
    latest: Trial | Confirmation = trial
    family, layers = None, None
    measured = [_measured(key.benchmark, key.split, trial, sources)]
    if promise is not None:
        newest = max(promise.results.values(), key=lambda result: result.created_at)
        latest, family, layers = newest, newest.family or None, newest.layers or None
        measured = [_measured(name, result.split, result, sources) for name, result in promise.results.items()]
    return {
        "schema": PRESET_SCHEMA,
        "kind": PRESET_KIND,
        "configuration": {name: _plain(getattr(trial, name)) for name in _CONFIGURATION},
        "model": {"name": key.model, "family": family, "layers": layers, "weights_digest": key.weights_digest},
        "promise": _estimated(key, sources) if promise is None else _promised(promise),
        "measured": measured,
        "provenance": {
            "study": key.name,
            "trial": trial.number,
            "seed": key.seed,
            "device": latest.device,
            "commit": latest.commit,
            "versions": {str(name): str(version) for name, version in sorted(latest.versions.items())},
            "date": latest.created_at.isoformat(timespec="seconds"),
        },
    }


def _estimated(key: StudyKey, sources: Sources) -> dict[str, Any]:
    source = sources.get(key.benchmark)
    asked = f"--benchmark {key.benchmark}" if source is None else source.options
    command = f"python -m search.export --model {key.model} {asked}"
    return {
        "place": "member of the front",
        "within_points": 100 * WITHIN,
        "confirmed": False,
        "verdict": f"not confirmed: {ESTIMATE}; {command} confirms it",
    }


def _promised(promise: Promise) -> dict[str, Any]:
    return {
        "place": promise.place,
        "within_points": float(points(promise.within).split()[0]),
        "confirmed": promise.confirmed,
        "verdict": promise.verdict,
    }


def _measured(benchmark: str, split: str, result: Trial | Confirmation, sources: Sources) -> dict[str, Any]:
    own = ("accuracy", "accuracy_low", "accuracy_high", *_AGAINST_DENSE, *_COSTS)
    numbers = {name: _plain(getattr(result, name, math.nan)) for name in own}
    origin = {"questions": sources[benchmark].options} if benchmark in sources else {}
    return {"benchmark": benchmark, **origin, "split": split, "n": int(result.n), **numbers}


def preset_yaml(key: StudyKey, trial: Trial, promise: Promise | None = None, sources: Sources = _EMBEDDED) -> str:
    """The preset as YAML text. Raises RecordError for a failed or stopped trial."""
    document = preset_document(key, trial, promise, sources)
    return HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def preset_filename(key: StudyKey, trial: Trial | None = None, place: str = "") -> str:
    """`MODEL-BENCHMARK.yaml`, with a trial `MODEL-BENCHMARK-trial-N.yaml`, with a place
    `MODEL-BENCHMARK-PLACE.yaml`; only letters, digits, `._-`."""
    parts = [key.model, key.benchmark] + ([] if trial is None else [f"trial-{trial.number}"])
    parts += [place] if place else []
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip(".-")
    return f"{slug or 'preset'}.yaml"


def write_preset(
    path: str | Path, key: StudyKey, trial: Trial, promise: Promise | None = None, sources: Sources = _EMBEDDED
) -> Path:
    """Write the preset so that a reader sees the old file or the new one, never half of one.

    Missing parent folders are created. Returns the path. Raises RecordError for a failed trial, OSError
    when the place cannot be written.
    """
    text = preset_yaml(key, trial, promise, sources)
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
    return int(value) if isinstance(value, Integral) else round(float(value), _DECIMALS)
