"""The exceptions of himap.

HimapError
├── ConfigError            an impossible configuration, or one that does not fit the model
├── UnsupportedModelError  an unknown model family, decoder or attention implementation
├── InputError             a call that cannot be pruned correctly
└── PresetError            a preset file that is missing, unsafe, malformed, or made for another model
"""


class HimapError(Exception):
    """The root of every exception of this package."""


class ConfigError(HimapError):
    """A configuration that is impossible in itself or for the given model."""


class UnsupportedModelError(HimapError):
    """A model family, decoder or attention implementation that himap does not know."""


class InputError(HimapError):
    """A forward call in a form that cannot be pruned correctly."""


class PresetError(HimapError):
    """A preset file that is missing, unsafe, malformed, of a newer schema, or made for another model."""


def shown(value: object) -> str:
    """Return any value as one short line for an error message."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return "a very long number"
    return text if len(text) <= 60 else f"{text[:57]}..."


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
