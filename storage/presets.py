"""Presets of stored trials: the dashboard and the search make the same preset of the same measurement."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
from typing import Any

from himap.errors import PresetError
from himap.presets import Certificate, Measured, ModelPart, Preset, Provenance, read_preset
from storage.commands import shell_command
from storage.confirmation import MARGIN, Confirmation, points
from storage.errors import RecordError
from storage.pareto import OperatingPoint
from storage.records import Measurement, QuestionSource, StudyKey, Trial

ESTIMATE = "an estimate on validation questions, not certified on held-out ones"
_LONGEST = 195  # bytes of a slug: file systems take names of 255, and a temporary name is longer

Sources = Mapping[str, QuestionSource]
_EMBEDDED: Sources = MappingProxyType({})


@dataclass(frozen=True)
class HeldOut:
    """What held-out questions say of an operating point, by benchmark."""

    point: OperatingPoint
    results: Mapping[str, Confirmation]

    @property
    def certified(self) -> bool:
        """Whether every benchmark's interval stays within the point's margin."""
        return all(result.certifies(self.point.margin) for result in self.results.values())

    @property
    def verdict(self) -> str:
        """One line: "certified within 1 point", or "not certified: " and the figures of the worst benchmark."""
        worst, result = min(self.results.items(), key=lambda item: item[1].difference_low)
        verdict = result.verdict(self.point.margin)
        if len(self.results) == 1:
            return verdict
        if self.certified:
            return f"{verdict} on each of {len(self.results)} benchmarks"
        return verdict.replace("not certified:", f"not certified: on {worst}", 1)

    @property
    def certificate(self) -> Certificate:
        """The same as a preset says it."""
        return Certificate(
            operating_point=self.point.name,
            margin_points=float(points(self.point.margin).split()[0]),
            certified=self.certified,
            verdict=self.verdict,
        )


def preset_of(
    key: StudyKey,
    trial: Trial,
    held_out: HeldOut | None = None,
    sources: Sources = _EMBEDDED,
    *,
    family: str = "",
    layers: int = 0,
    command: str = "",
    certificate: Certificate | None = None,
) -> Preset:
    """Return the preset of a study's trial: without held-out results it is an estimate, and says so.

    Args:
        sources: where questions come from that are not embedded, by benchmark.
        family: transformers class of the model; "" where unknown.
        layers: depth of its decoder; 0 where unknown.
        command: certifies the preset; "" for one that finds the model by its name.
        certificate: what a plan's test says; None makes one of `held_out`, or an estimate's.

    Raises:
        RecordError: the trial is not complete.
    """
    if not trial.complete:
        raise RecordError(
            f"trial {trial.number} of {key.name} is {trial.state} ({trial.reason}); choose a completed trial to export"
        )
    latest: Measurement = trial
    measured = [_measured(key.questions, key.split, trial, sources)]
    if held_out is not None:
        latest = max(held_out.results.values(), key=lambda result: result.created_at)
        measured = [_measured(name, result.split, result, sources) for name, result in held_out.results.items()]
    return Preset(
        config=trial.config,
        model=ModelPart(
            name=key.model,
            family=family or None,
            layers=layers or None,
            weights_digest=key.weights_digest,
            dtype=key.dtype,
        ),
        certificate=certificate or (held_out.certificate if held_out else _estimate(key, sources, command)),
        measured=tuple(measured),
        provenance=Provenance(
            study=key.name,
            trial=trial.number,
            seed=key.seed,
            device=latest.device,
            commit=latest.commit,
            versions={str(name): str(version) for name, version in sorted(latest.versions.items())},
            date=latest.created_at.isoformat(timespec="seconds"),
        ),
    )


def preset_filename(model: str, benchmark: str, *parts: str) -> str:
    """Return `MODEL-BENCHMARK[-PART...].yaml`: letters of any script, digits and `._-`, at most 200 bytes."""
    name = unicodedata.normalize("NFC", "-".join([model, benchmark, *parts]))
    slug = re.sub(r"[^\w.-]+", "-", name).strip(".-") or "preset"
    if len(slug.encode()) > _LONGEST:
        slug = f"{slug.encode()[: _LONGEST - 9].decode(errors='ignore')}-{sha256(name.encode()).hexdigest()[:8]}"
    return f"{slug}.yaml"


def preset_path(folder: Path, key: StudyKey, benchmark: str, *parts: str) -> Path:
    """Return where a study's preset goes: its usual file, unless that is other weights' or no preset.

    Then the name also has the digest of the weights; it has the dtype where that was asked for.
    """
    parts = parts if key.dtype == "auto" else (*parts, key.dtype)
    path = folder / preset_filename(key.model, benchmark, *parts)
    if not path.exists():
        return path
    try:
        model = read_preset(path).model
        same = (model.weights_digest, model.dtype) == (key.weights_digest, key.dtype)
    except PresetError:
        same = False
    return path if same else folder / preset_filename(key.model, benchmark, *parts, key.weights_digest[:12])


def _estimate(key: StudyKey, sources: Sources, command: str) -> Certificate:
    source = sources.get(key.questions)
    options = ["--benchmark", key.benchmark] if source is None else source.arguments
    command = command or shell_command("python", "-m", "search.export", "--model", key.model, *options)
    return Certificate(
        operating_point="member of the front",
        margin_points=100 * MARGIN,
        certified=False,
        verdict=f"not certified: {ESTIMATE}; {command} certifies it",
    )


def _measured(questions: str, split: str, result: Measurement, sources: Sources) -> Measured:
    benchmark, _, digest = questions.partition("@")
    numbers: dict[str, Any] = {
        name: _plain(getattr(result, name, math.nan)) for name in Measured.model_fields if name not in _NO_NUMBERS
    }
    options = sources[questions].options if questions in sources else None
    numbers["speed"] = result.timings
    return Measured(benchmark=benchmark, source=digest or None, questions=options, split=split, **numbers)


_NO_NUMBERS = ("benchmark", "source", "questions", "split", "speed")


def _plain(value: Any) -> int | float | None:
    """Return a Python number whatever numeric type came in; None of what was not measured."""
    if isinstance(value, Integral):
        return int(value)
    return float(value) if math.isfinite(value) else None
