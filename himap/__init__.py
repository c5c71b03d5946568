"""HiMAP: drop image tokens inside a vision-language model, in place and reversibly.

with himap.prune(model, himap.PruningConfig(k1=2, r1=50, k2=8, r2=75)):
    model.generate(**inputs)

The engine and torch are loaded when first used, so that settings and presets can be read without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from himap.config import PruningConfig
from himap.errors import ConfigError, HimapError, InputError, PresetError, UnsupportedModelError
from himap.presets import Preset, load_preset, read_preset

if TYPE_CHECKING:
    from himap.engine.attach import prune
    from himap.engine.pruning import Pruning
    from himap.families import supported as supported_models
    from himap.verification.verify import FamilyVerification, verify

__all__ = [
    "ConfigError",
    "FamilyVerification",
    "HimapError",
    "InputError",
    "Preset",
    "PresetError",
    "Pruning",
    "PruningConfig",
    "UnsupportedModelError",
    "load_preset",
    "prune",
    "read_preset",
    "supported_models",
    "verify",
]

_LAZY = {
    "prune": ("himap.engine.attach", "prune"),
    "Pruning": ("himap.engine.pruning", "Pruning"),
    "FamilyVerification": ("himap.verification.verify", "FamilyVerification"),
    "verify": ("himap.verification.verify", "verify"),
    "supported_models": ("himap.families", "supported"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'himap' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _LAZY[name]
    return getattr(import_module(module), attribute)
