"""Replace a decoder's attention function for the measurements of flow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from himap.engine import attention
from himap.errors import HimapError, UnsupportedModelError
from himap.families.base import Family

PREFIX = "himap_flow"

_number = itertools.count()


@contextmanager
def attending(family: Family, attend: Callable[..., tuple[Tensor, None]]) -> Iterator[None]:
    """Run the decoder's attention through `attend`, with SDPA masks, while the context lasts.

    Raises:
        HimapError: the model is already in a context of himap.
        UnsupportedModelError: the attention implementation is unknown, or the model is compiled.
    """
    config = family.decoder.config
    before = config._attn_implementation
    if before == attention.NAME or before.startswith(PREFIX):
        raise HimapError("this model is being pruned or watched already; leave that context first")
    if before not in attention.REPLACES:
        raise UnsupportedModelError(
            f"attention implementation {before!r} cannot be watched; "
            f"load the model with one of {', '.join(attention.REPLACES)}"
        )
    if getattr(family.model, "_compiled_call_impl", None) is not None:
        raise UnsupportedModelError("a compiled model cannot be watched; do it before compile()")
    name = f"{PREFIX}_{next(_number)}"  # one a context, so that several models do not share it
    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, sdpa_mask)
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before
        AttentionInterface._global_mapping.pop(name)
        AttentionMaskInterface._global_mapping.pop(name)


def allowed(module: nn.Module, mask: Tensor | None, query: Tensor, key: Tensor, is_causal: bool | None) -> Tensor:
    """Return SDPA's mask: `(batch or 1, 1, queries, keys)` bool; the queries are the last of the keys."""
    queries, keys = query.shape[2], key.shape[2]
    if mask is not None:
        return mask[..., :keys]
    full = torch.ones(1, 1, queries, keys, dtype=torch.bool, device=query.device)
    causal: Any = getattr(module, "is_causal", True) if is_causal is None else is_causal
    return full.tril(keys - queries) if causal else full
