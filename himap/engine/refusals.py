"""The calls that pruning refuses, because they would silently mean something else on a pruned model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Never

import torch
from torch import Tensor, nn

from himap.engine.compiled import compiled_part
from himap.engine.passes import kv_cache
from himap.errors import InputError
from himap.families.family import Family

_ASSISTED = "assisted decoding would rank its guesses as part of the prompt, and rolls its cache back"
REFUSED_OPTIONS = {
    "assistant_model": _ASSISTED,
    "prompt_lookup_num_tokens": _ASSISTED,
    "assistant_early_exit": _ASSISTED,
    "use_mtp": _ASSISTED,
    "dola_layers": "DoLa contrasts layers that hold different tokens",
    "prefill_chunk_size": "a prompt that is read in chunks cannot be ranked as a whole",
    "output_attentions": "attention weights are never computed as a whole",
}
CONTINUOUS_BATCHING = ("generate_batch", "init_continuous_batching")


def check_generate(model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse the options of `generate` that pruning does not support, wherever they are set.

    Raises:
        InputError: an option is set; the message gives the reason.
    """
    passed = args[1] if len(args) > 1 else kwargs.get("generation_config")
    config = passed or getattr(model, "generation_config", None)
    for name, reason in REFUSED_OPTIONS.items():
        if kwargs.get(name, getattr(config, name, None)) not in (None, False):
            raise InputError(f"{name} does not work with pruning: {reason}")


def check_call(inputs: Mapping[str, Any]) -> None:
    """Refuse the arguments of a model's forward that refer to tokens by their slot in the whole prompt.

    Raises:
        InputError: an argument is set; the message gives the reason.
    """
    if inputs.get("labels") is not None:
        raise InputError("labels do not match a pruned prompt; compute the loss at Pruning.positions yourself")
    if isinstance(inputs.get("logits_to_keep"), Tensor):
        raise InputError("logits_to_keep must be a number: a pruned prompt has other slots than its input")
    if inputs.get("output_attentions"):
        raise InputError(f"output_attentions does not work with pruning: {REFUSED_OPTIONS['output_attentions']}")


def check_uncompiled(family: Family) -> None:
    """Refuse a model that was compiled inside the context: its code would keep the context's hooks afterwards.

    Raises:
        InputError: a part of the model runs compiled code, or is being compiled.
    """
    part = compiled_part(family)
    if part is not None or torch.compiler.is_compiling():
        where = f" in {part}" if part else ""
        raise InputError(f"got compiled code{where}, which would keep pruning after the context; call it uncompiled")


def check_prompt(inputs: Mapping[str, Any], layers: Sequence[nn.Module]) -> None:
    """Refuse a prompt in a form that cannot be pruned correctly.

    Raises:
        InputError: a static cache, an attention mask of another form, or gradient checkpointing.
    """
    mask, cache = inputs.get("attention_mask"), kv_cache(inputs)
    if getattr(cache, "is_compileable", False):  # first, because `generate` then also makes a 4-d mask
        raise InputError("a static cache has one length for all layers; use the default dynamic cache")
    if mask is not None and (not isinstance(mask, Tensor) or mask.ndim != 2):
        raise InputError("pruning needs a two-dimensional attention_mask (batch, tokens), got another form")
    if any(layer.training and getattr(layer, "gradient_checkpointing", False) for layer in layers):
        raise InputError("gradient checkpointing runs layers again after the cut; switch it off")


def refuse_batching(*_: Any, **__: Any) -> Never:
    """Refuse continuous batching, in place of its methods."""
    raise InputError("continuous batching pages the cache by prompt slots; use generate with a batch")
