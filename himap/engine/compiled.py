"""Find compiled code in a model: it runs without hooks that came later, and keeps those that it was traced with."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from himap.errors import UnsupportedModelError
from himap.families.family import Family


def compiled_part(family: Family) -> str | None:
    """Return the name of a part of the model that runs compiled code where pruning has its hooks; None without one."""
    return next((name for name, module in hooked_parts(family) if _is_compiled(module)), None)


def refuse_compiled(family: Family) -> None:
    """Refuse a model of which a part is compiled.

    Raises:
        UnsupportedModelError: the message names the part.
    """
    if (part := compiled_part(family)) is not None:
        raise UnsupportedModelError(f"got compiled code in {part}, which skips hooks; load the model again, uncompiled")


def hooked_parts(family: Family) -> Iterator[tuple[str, nn.Module]]:
    """Yield the model, its backbone, and every module of its decoder, by name."""
    yield type(family.model).__name__, family.model
    yield type(family.backbone).__name__, family.backbone
    for name, module in family.decoder.named_modules():
        yield f"{type(family.decoder).__name__}.{name}".rstrip("."), module


def _is_compiled(module: nn.Module) -> bool:
    return (
        getattr(module, "_compiled_call_impl", None) is not None  # module.compile()
        or hasattr(module, "_orig_mod")  # torch.compile(module)
        or hasattr(module.forward, "_torchdynamo_orig_callable")  # module.forward = torch.compile(module.forward)
        or isinstance(module, torch.jit.ScriptModule)
    )
