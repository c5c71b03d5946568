"""Preset files: a configuration as YAML, with what was measured and where it comes from."""

from himap.presets.preset import Preset, load_preset, read_preset
from himap.presets.schema import Certificate, Figure, Measured, ModelPart, Provenance, Timing

__all__ = [
    "Certificate",
    "Figure",
    "Measured",
    "ModelPart",
    "Preset",
    "Provenance",
    "Timing",
    "load_preset",
    "read_preset",
]
