"""The supported model families, one short adapter each. To add one, write its class and list it here."""

from __future__ import annotations

from torch import nn

from himap.errors import UnsupportedModelError
from himap.families.family import Family
from himap.families.gemma import Gemma3, PaliGemma
from himap.families.idefics import Idefics3, SmolVLM
from himap.families.internvl import InternVL
from himap.families.lfm import Lfm2VL
from himap.families.llava import Llava, LlavaNext, LlavaOnevision, Mistral3
from himap.families.qwen_vl import Qwen2VL, Qwen3VL, Qwen25VL, Qwen35, Qwen35Moe

_FAMILIES: tuple[type[Family], ...] = (
    Llava,
    LlavaNext,
    LlavaOnevision,
    Qwen2VL,
    Qwen25VL,
    Qwen3VL,
    Qwen35,
    Qwen35Moe,
    Lfm2VL,
    Mistral3,
    InternVL,
    Idefics3,
    SmolVLM,
    Gemma3,
    PaliGemma,
)


def supported() -> tuple[str, ...]:
    """Return the class names of the transformers models that can be pruned."""
    return tuple(family.model_class for family in _FAMILIES)


def find(model: nn.Module) -> Family:
    """Return the adapter of a supported model, or of an instance of its subclass.

    Raises:
        UnsupportedModelError: no family matches, or the model's decoder cannot be pruned.
    """
    classes = {cls.__name__ for cls in type(model).__mro__}
    for family_class in _FAMILIES:
        if family_class.model_class in classes:
            family = family_class(model)
            family.check_decoder()
            return family
    raise UnsupportedModelError(
        f"got {type(model).__name__}; expected one of {', '.join(supported())}; pass the model itself, not a wrapper"
    )
