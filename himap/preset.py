"""Presets: a found configuration as a YAML file, with what was measured and where it came from.

Schema 1, all fields required; amounts that were not measured are null:

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
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from himap.config import PruningConfig
from himap.errors import ConfigError, PresetError, shown
from himap.yaml_file import read_mapping

SCHEMA = 1
KIND = "himap-preset"


@dataclass(frozen=True)
class Number:
    """A finite number from `low` to `high`; `whole` asks for an integer, `optional` also takes null."""

    low: float = 0
    high: float = math.inf
    whole: bool = False
    optional: bool = False

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, or None."""
        if self.optional and value is None:
            return None
        types = int if self.whole else int | float
        number = isinstance(value, types) and not isinstance(value, bool)
        if number and self.low <= value <= self.high and value not in (math.inf, -math.inf):
            return None
        words = "must be a whole number" if self.whole else "must be a number"
        if self.high < math.inf:
            words += f" from {self.low:g} to {self.high:g}"
        elif self.low > -math.inf:
            words += f" of at least {self.low:g}"
        return words + (", or null" if self.optional else "")


@dataclass(frozen=True)
class Kind:
    """A value of one of some types, in words; text must not be empty unless `blank`."""

    types: tuple[type, ...] = (str,)
    words: str = "text that is not empty"
    blank: bool = False

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, or None."""
        fits = isinstance(value, self.types) and not isinstance(value, bool) and (self.blank or value != "")
        return None if fits else f"must be {self.words}"


_SHARE, _BOUND, _COUNT, _TEXT = Number(0, 1), Number(0, 1, optional=True), Number(1, whole=True), Kind()
_ANY_TEXT, _AMOUNT = Kind(words="text", blank=True), Number(optional=True)
_SECTIONS: dict[str, dict[str, Number | Kind]] = {
    "model": {"name": _TEXT, "weights_digest": _TEXT},
    "benchmark": {"name": _TEXT, "split": _TEXT, "n": _COUNT},
    "measured": {
        "accuracy": _SHARE,
        "accuracy_low": _BOUND,
        "accuracy_high": _BOUND,
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
        "study": Kind((str, int), "a study's name or number"),
        "trial": Number(whole=True),
        "seed": Number(-math.inf, whole=True),
        "device": _ANY_TEXT,
        "commit": _ANY_TEXT,
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
        return _preset(read_mapping(Path(path)))
    except PresetError as error:
        raise PresetError(f"{path}: {error}") from error.__cause__


def _preset(document: dict[str, Any]) -> Preset:
    if document.get("kind") != KIND:
        raise PresetError(f"not a preset: expected kind {KIND!r}, got {shown(document.get('kind'))}")
    schema = document.get("schema")
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise PresetError(f"schema must be a whole number from 1 on, got {shown(schema)}")
    if schema > SCHEMA:
        raise PresetError(
            f"written for schema {shown(schema)}, this version reads up to {SCHEMA}; update himap-search"
        )
    _check_fields("the file", document, ("schema", "kind", "configuration", *_SECTIONS))
    sections = {name: _section(name, document[name]) for name in _SECTIONS}
    measured = sections["measured"]
    interval = [measured[name] for name in ("accuracy_low", "accuracy", "accuracy_high")]
    known = [value for value in interval if value is not None]
    if known != sorted(known):
        raise PresetError("measured must have accuracy_low <= accuracy <= accuracy_high")
    return Preset(config=_configuration(document["configuration"]), **sections)


def _section(name: str, values: Any) -> Mapping[str, Any]:
    _check_fields(name, values, tuple(_SECTIONS[name]))
    for key, rule in _SECTIONS[name].items():
        if problem := rule.problem(values[key]):
            raise PresetError(f"{name}.{key} {problem}, got {shown(values[key])}")
    return MappingProxyType(values)


def _configuration(values: Any) -> PruningConfig:
    _check_fields("configuration", values, tuple(PruningConfig.__dataclass_fields__))
    try:
        return PruningConfig.from_dict(values)
    except ConfigError as error:
        raise PresetError(f"configuration: {error}") from error


def _check_fields(name: str, values: Any, expected: tuple[str, ...]) -> None:
    if not isinstance(values, dict):
        raise PresetError(f"{name} must be a mapping, got {shown(values)}")
    if missing := [key for key in expected if key not in values]:
        raise PresetError(f"{name} lacks {', '.join(missing)}")
    if unknown := [shown(key) for key in values if key not in expected]:
        raise PresetError(
            f"{name} has unknown fields: {', '.join(unknown)[:80]}; known are {', '.join(expected)}"
        )
