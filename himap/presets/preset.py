"""Presets: a found configuration as a YAML file, with what was measured and where it came from.

`himap/presets/schema.py` lists the fields of schema 2, all of them required; `docs/presets.md` shows a file.
Files of schema 1 are read as unconfirmed ones of schema 2.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from himap.config import PruningConfig
from himap.errors import ConfigError, PresetError
from himap.presets.safe_yaml import read_mapping
from himap.presets.schema import Document, Measured, ModelPart, Promise, Provenance, parse


@dataclass(frozen=True)
class Preset:
    """A preset file's content; `measured` has one entry a benchmark."""

    config: PruningConfig
    model: ModelPart
    promise: Promise
    measured: tuple[Measured, ...]
    provenance: Provenance

    def check_model(self, classes: Collection[str], layers: int) -> None:
        """Refuse a model of another architecture than the one that was measured, where that is known.

        Args:
            classes: names of the model's classes, base classes included.
            layers: depth of its decoder.

        Raises:
            PresetError: another family or another depth.
        """
        family = self.model.family
        if family is not None and family not in classes:
            got, made = f"got {next(iter(classes), 'nothing')}", f"for {family} ({self.model.name})"
        elif self.model.layers is not None and self.model.layers != layers:
            got, made = (f"got one with {layers}", f"for {self.model.layers} decoder layers ({self.model.name})")
        else:
            return
        raise PresetError(
            f"this preset was made {made}, {got}; search this model for one of its own, "
            "or pass the preset's config, whose accuracy here nobody measured"
        )


def load_preset(path: str | Path) -> PruningConfig:
    """The configuration in a preset file, after checking the whole file.

    Raises:
        PresetError: as `read_preset`.
    """
    return read_preset(path).config


def read_preset(path: str | Path) -> Preset:
    """A preset file, checked field by field; nothing in it is ever executed.

    Raises:
        PresetError: missing, too large, not (safe) YAML, of another kind, of a newer schema, or with a field
            that is unknown, missing or out of range. The message names the file and the first defect.
    """
    try:
        return _preset(parse(read_mapping(Path(path))))
    except PresetError as error:
        raise PresetError(f"{path}: {error}") from error.__cause__


def _preset(document: Document) -> Preset:
    try:
        config = PruningConfig(**document.configuration.model_dump())
    except ConfigError as error:
        raise PresetError(f"configuration: {error}") from error
    return Preset(config, document.model, document.promise, document.measured, document.provenance)
