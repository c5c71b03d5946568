"""Preset files: a configuration as YAML, with what was measured and where it comes from."""

from himap.presets.preset import Preset, load_preset, read_preset
from himap.presets.schema import Certificate, Measured, ModelPart, Provenance

__all__ = ["Certificate", "Measured", "ModelPart", "Preset", "Provenance", "load_preset", "read_preset"]
