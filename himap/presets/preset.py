"""A preset: a configuration as a YAML file, with what was measured and where it comes from.

`himap/presets/schema.py` lists the fields, all of them required; `docs/presets.md` shows a file.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from himap.config import PruningConfig
from himap.errors import PresetError
from himap.files import write_atomically
from himap.presets.safe_yaml import dump_mapping, read_mapping
from himap.presets.schema import (
    Certificate,
    Configuration,
    Measured,
    ModelPart,
    Part,
    Provenance,
    check_kind,
    first_defect,
)

_HEADER = "# A HiMAP pruning preset. Use it: with himap.prune(model, THIS_FILE): model.generate(...)\n"
_DECIMALS = 6  # far below what can be measured, and easy to read


class Preset(Part):
    """The content of a preset file; `measured` has one entry a benchmark."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    kind: Literal["himap-preset"] = "himap-preset"
    config: Annotated[Configuration, Field(alias="configuration")]
    model: ModelPart
    certificate: Certificate
    measured: Annotated[tuple[Measured, ...], Field(strict=False, min_length=1)]
    provenance: Provenance

    def yaml(self) -> str:
        """Return the text of the file, in the order of the fields, numbers rounded to 6 decimals."""
        document = _rounded(self.model_dump(mode="json", by_alias=True))
        parts: list[tuple[type[Part], dict[str, Any]]] = [(Certificate, document["certificate"])]
        parts += [(Measured, one) for one in document["measured"]]
        for part, values in parts:
            for name, field in part.model_fields.items():
                if not field.is_required() and values[name] is None:
                    del values[name]
        return _HEADER + dump_mapping(document)

    def write(self, path: str | Path) -> Path:
        """Write the file atomically, with missing parent folders, and return its path.

        Raises:
            OSError: the file cannot be written.
        """
        return write_atomically(path, self.yaml())

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
            got, expected = f"got {next(iter(classes), 'nothing')}", f"for {family} ({self.model.name})"
        elif self.model.layers is not None and self.model.layers != layers:
            got, expected = f"got one with {layers}", f"for {self.model.layers} decoder layers ({self.model.name})"
        else:
            return
        raise PresetError(
            f"this preset was made {expected}, {got}; search this model for one of its own, "
            "or pass the preset's config, whose accuracy here nobody measured"
        )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, _DECIMALS) if isinstance(value, float) else value


def load_preset(path: str | Path) -> PruningConfig:
    """Return the configuration in a preset file, after checking the whole file.

    Raises:
        PresetError: as `read_preset`.
    """
    return read_preset(path).config


def read_preset(path: str | Path) -> Preset:
    """Return the content of a preset file, checked field by field; nothing in it is ever executed.

    Raises:
        PresetError: missing, too large, not YAML of plain values, of another kind, of a newer schema, or with a field
            that is unknown, missing or out of range. The message names the file and the first defect.
    """
    try:
        document = read_mapping(Path(path))
        check_kind(document)
        return Preset.model_validate(document)
    except PresetError as error:
        raise PresetError(f"{path}: {error}") from error.__cause__
    except ValidationError as error:
        raise PresetError(f"{path}: {first_defect(error)}") from None
