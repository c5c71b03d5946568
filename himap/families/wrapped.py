"""Models inside a wrapper of PEFT."""

from __future__ import annotations

from typing import Any

from torch import nn

from himap.errors import UnsupportedModelError


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the transformers model inside a PEFT wrapper, with its adapters; any other model itself.

    Raises:
        UnsupportedModelError: an adapter learns a prompt, whose tokens stand in no input.
    """
    wrapper: Any = model
    if not any(cls.__name__ == "PeftModel" for cls in type(model).__mro__):
        return model
    learned = [config.peft_type for config in wrapper.peft_config.values() if config.is_prompt_learning]
    if learned:
        raise UnsupportedModelError(
            f"got a PEFT model with {getattr(learned[0], 'value', learned[0])}, which puts learned tokens or keys in "
            "front of the prompt; expected adapters of weights, such as LoRA; train one of those"
        )
    base: nn.Module = wrapper.get_base_model()
    return base
