"""Presets: a found configuration as a YAML file, with what was measured and where it came from.

Schema 1, all fields required:

    schema: 1
    kind: himap-preset
    configuration: {k1, r1, k2, r2, phi_shallow, phi_deep, seed}
    model: {name, weights_digest}
    benchmark: {name, split, n}
    measured: {accuracy, accuracy_low, accuracy_high, n, paper_flops, flops, flops_ratio, latency_ms,
               image_tokens, tokens_after_k1, tokens_after_k2}
    provenance: {study, trial, seed, device, commit, versions, date, estimate}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from himap.config import PruningConfig
from himap.errors import ConfigError, PresetError

SCHEMA = 1
KIND = "himap-preset"
MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class Range:
    """A finite number from `low` to `high`; `whole` asks for an integer."""

    low: float = 0
    high: float = math.inf
    whole: bool = False

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, or None."""
        number = isinstance(value, int) or (isinstance(value, float) and not self.whole)
        fits = (
            number and not isinstance(value, bool) and math.isfinite(value) and self.low <= value <= self.high
        )
        limits = f"at least {self.low:g}" if self.high == math.inf else f"from {self.low:g} to {self.high:g}"
        return None if fits else f"must be a {'whole ' if self.whole else ''}number {limits}"


@dataclass(frozen=True)
class Kind:
    """A value of one of some types; text must not be empty."""

    types: tuple[type, ...] = field(default=(str,))
    name: str = "text that is not empty"

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, or None."""
        fits = isinstance(value, self.types) and not isinstance(value, bool) and value != ""
        return None if fits else f"must be {self.name}"


_SHARE, _AMOUNT, _COUNT, _TEXT = Range(0, 1), Range(), Range(1, whole=True), Kind()
_SECTIONS: dict[str, dict[str, Range | Kind]] = {
    "model": {"name": _TEXT, "weights_digest": _TEXT},
    "benchmark": {"name": _TEXT, "split": _TEXT, "n": _COUNT},
    "measured": {
        "accuracy": _SHARE,
        "accuracy_low": _SHARE,
        "accuracy_high": _SHARE,
        "n": _COUNT,
        "paper_flops": _AMOUNT,
        "flops": _AMOUNT,
        "flops_ratio": _AMOUNT,
        "latency_ms": _AMOUNT,
        "image_tokens": _AMOUNT,
        "tokens_after_k1": _AMOUNT,
        "tokens_after_k2": _AMOUNT,
    },
    "provenance": {
        "study": Kind((str, int), "a study's number or name"),
        "trial": Range(whole=True),
        "seed": Range(-math.inf, whole=True),
        "device": _TEXT,
        "commit": Kind((str,), "text"),
        "versions": Kind((dict,), "a mapping of packages to versions"),
        "date": Kind((str, date), "a date"),
        "estimate": _TEXT,
    },
}


@dataclass(frozen=True)
class Preset:
    """A preset file's content; the mappings have the fields of the schema."""

    config: PruningConfig
    model: Mapping[str, Any]
    benchmark: Mapping[str, Any]
    measured: Mapping[str, Any]
    provenance: Mapping[str, Any]


def load_preset(path: str | Path) -> PruningConfig:
    """The configuration in a preset file, after checking the whole file.

    Raises:
        PresetError: as `read_preset`.
    """
    return read_preset(path).config


def read_preset(path: str | Path) -> Preset:
    """A preset file, checked field by field.

    Raises:
        PresetError: missing, too large, not (safe) YAML, of another kind, of a newer schema, or with a field
            that is unknown, missing or out of range. The message names the file and the first defect.
    """
    try:
        return _preset(_parse(Path(path)))
    except PresetError as error:
        raise PresetError(f"{path}: {error}") from error.__cause__


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise PresetError(f"larger than {MAX_BYTES // 1024} KiB, so it is no preset")
        document = yaml.safe_load(raw.decode("utf-8"))
    except OSError as error:
        raise PresetError(f"cannot be read: {error.strerror}") from error
    except yaml.constructor.ConstructorError as error:
        raise PresetError(f"refused, it holds an unsafe or broken YAML construct: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise PresetError(f"not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, dict):
        raise PresetError(f"not a preset: expected a mapping, got {type(document).__name__}")
    return document


def _preset(document: dict[str, Any]) -> Preset:
    if document.get("kind") != KIND:
        raise PresetError(f"not a preset: expected kind {KIND!r}, got {document.get('kind')!r}")
    schema = document.get("schema")
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise PresetError(f"schema must be a whole number from 1 on, got {schema!r}")
    if schema > SCHEMA:
        raise PresetError(
            f"written for schema {schema}, this version reads up to {SCHEMA}; update himap-search"
        )
    _check_fields("the file", document, ("schema", "kind", "configuration", *_SECTIONS))
    sections = {name: _section(name, document[name]) for name in _SECTIONS}
    return Preset(config=_configuration(document["configuration"]), **sections)


def _section(name: str, values: Any) -> Mapping[str, Any]:
    _check_fields(name, values, tuple(_SECTIONS[name]))
    for key, rule in _SECTIONS[name].items():
        if problem := rule.problem(values[key]):
            raise PresetError(f"{name}.{key} {problem}, got {values[key]!r}")
    return MappingProxyType(values)


def _configuration(values: Any) -> PruningConfig:
    _check_fields("configuration", values, tuple(PruningConfig.__dataclass_fields__))
    try:
        return PruningConfig.from_dict(values)
    except ConfigError as error:
        raise PresetError(f"configuration: {error}") from error


def _check_fields(name: str, values: Any, expected: tuple[str, ...]) -> None:
    if not isinstance(values, dict):
        raise PresetError(f"{name} must be a mapping, got {values!r}")
    if missing := [key for key in expected if key not in values]:
        raise PresetError(f"{name} lacks {', '.join(missing)}")
    if unknown := [str(key) for key in values if key not in expected]:
        raise PresetError(f"{name} has unknown fields: {', '.join(unknown)}; known are {', '.join(expected)}")
