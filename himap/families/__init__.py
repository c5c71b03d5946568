"""Model families that can be pruned, one short adapter each. To add one: write its class, list it here."""

from __future__ import annotations

from torch import nn

from himap.errors import UnsupportedModelError
from himap.families.base import Family
from himap.families.gemma import Gemma3, PaliGemma
from himap.families.idefics import Idefics3, SmolVLM
from himap.families.internvl import InternVL
from himap.families.llava import Llava, LlavaNext, LlavaOnevision
from himap.families.qwen_vl import Qwen2VL, Qwen3VL, Qwen25VL

_FAMILIES: tuple[type[Family], ...] = (
    Llava,
    LlavaNext,
    LlavaOnevision,
    Qwen2VL,
    Qwen25VL,
    Qwen3VL,
    InternVL,
    Idefics3,
    SmolVLM,
    Gemma3,
    PaliGemma,
)


def supported() -> tuple[str, ...]:
    """Class names of the transformers models that can be pruned."""
    return tuple(family.model_class for family in _FAMILIES)


def find(model: nn.Module) -> Family:
    """The adapter of a model or of a subclass of a supported model.

    Raises:
        UnsupportedModelError: no family matches, or the model's decoder is one that cannot be pruned.
    """
    classes = {cls.__name__ for cls in type(model).__mro__}
    for family in _FAMILIES:
        if family.model_class in classes:
            found = family(model)
            found.check_decoder()
            return found
    raise UnsupportedModelError(
        f"{type(model).__name__} cannot be pruned; pass one of {', '.join(supported())} itself, not a wrapper"
    )
