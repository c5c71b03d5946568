"""The attention function of a pruned model: SDPA, plus the few softmax rows that a criterion asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from himap.criteria.base import Criterion
from himap.tokens import PAD, Rows, TokenSet, gather_slots

NAME = "himap"
OBSERVER = "himap_observer"
REPLACES = ("sdpa", "eager", "flash_attention_2", "flash_attention_3")

Observer = Callable[[Tensor, Tensor, Tensor, float], None]

_lock = threading.Lock()
_users = 0


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """SDPA; a layer called with an observer first shows it query, key (after rotary embedding) and value."""
    observer: Observer | None = kwargs.pop(OBSERVER, None)
    if observer is not None:
        observer(query, key, value, kwargs.get("scaling") or query.shape[-1] ** -0.5)
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


def attention_rows(
    query: Tensor, key: Tensor, scaling: float, tokens: TokenSet, kind: Rows, mask: Tensor | None = None
) -> Tensor:
    """Softmax attention of only the query rows of one kind, on all keys.

    Args:
        query: (batch, heads, slots, d).
        key: (batch, kv_heads, slots, d); heads is a multiple of kv_heads.
        tokens: what the slots hold; padding is never attended to.
        kind: which rows.
        mask: (batch or 1, 1, slots, slots) bool, true where the layer attends; None for plain causal.

    Returns:
        (batch, heads, r, slots) float32, zero in rows that a shorter row of the batch does not have.
    """
    index, present = tokens.rows(kind)
    batch, heads, slots, width = query.shape
    kv_heads = key.shape[1]
    visible = _visible(tokens, index, mask)
    rows = query.gather(2, index[:, None, :, None].expand(-1, heads, -1, width))
    rows = rows.reshape(batch, kv_heads, -1, width).float()
    logits = (rows @ key.float().transpose(-1, -2)).mul_(scaling).view(batch, heads, -1, slots)
    logits.masked_fill_(~visible[:, None], torch.finfo(logits.dtype).min)
    weights = logits.softmax(-1)
    return weights if batch == 1 else weights.masked_fill_(~present[:, None, :, None], 0.0)


def _visible(tokens: TokenSet, index: Tensor, mask: Tensor | None) -> Tensor:
    """(batch, r, slots) bool: what the rows at `index` attend to; `mask` as in `attention_rows`."""
    if mask is not None:
        return gather_slots(mask[:, 0], index)
    visible = torch.arange(tokens.slots, device=index.device) <= index[:, :, None]
    return visible & (tokens.role > PAD)[:, None, :] if tokens.padded else visible


def observed(
    criterion: Criterion,
    tokens: TokenSet,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    mask: Tensor | None = None,
) -> dict[str, Tensor]:
    """What a criterion needs of an attention layer, and nothing else; see `criteria.base.Observed`."""
    found: dict[str, Tensor] = {"keys": key, "values": value}
    found = {name: what for name, what in found.items() if name in criterion.needs}
    if criterion.rows != "none":
        rows = attention_rows(query, key, scaling, tokens, criterion.rows, mask)
        found["attention"] = rows if criterion.per_head else rows.mean(1)
    if "visible" in criterion.needs:
        index, present = tokens.rows(criterion.rows)
        found["visible"] = _visible(tokens, index, mask) & present[:, :, None]
    return found


@contextmanager
def registered() -> Iterator[None]:
    """Keep the attention function and its mask twin in transformers' tables while anyone is inside."""
    global _users
    with _lock:
        _users += 1
        AttentionInterface.register(NAME, attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                AttentionInterface._global_mapping.pop(NAME, None)
                AttentionMaskInterface._global_mapping.pop(NAME, None)
