"""Everything that himap raises, as one tree.

HimapError
├── ConfigError            a PruningConfig that cannot be, or that does not fit the model
├── UnsupportedModelError  a model, or an attention implementation, that the engine has no adapter for
├── InputError             a call of a pruned model that cannot be pruned correctly
└── PresetError            a preset file that cannot be read, or that is not what it says
"""


class HimapError(Exception):
    """Root of every error of this package."""


class ConfigError(HimapError):
    """A pruning configuration is impossible in itself or for the given model."""


class UnsupportedModelError(HimapError):
    """The engine does not know this model family or this way of running it."""


class InputError(HimapError):
    """A forward call came in a form that could only be pruned wrongly, so it is refused."""


class PresetError(HimapError):
    """A preset file is missing, unsafe, malformed, or of a newer schema."""


def shown(value: object) -> str:
    """A value as an error message shows it: one short line, whatever came in."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return "a very long number"
    return text if len(text) <= 60 else f"{text[:57]}..."
