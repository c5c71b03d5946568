"""The attention function of a pruned model: SDPA, and the softmax rows that a criterion reads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from himap.criteria.base import Criterion
from himap.engine.compiled import refuse_compiled
from himap.engine.logits import LogitRule, refuse_unknown
from himap.engine.masks import explicit_mask
from himap.errors import HimapError, UnsupportedModelError
from himap.families.family import Family
from himap.tokens import IMAGE, PAD, QueryRows, TokenSet, gather_slots

PREFIX = "himap_"
OBSERVER = "himap_observer"
BLOCK = 2**24  # most elements of (batch, heads, rows, slots) in a block of attention rows
REPLACES = ("sdpa", "eager", "flash_attention_2", "flash_attention_3")

AttentionFunction = Callable[..., tuple[Tensor, None]]
Observer = Callable[[Tensor, Tensor, Tensor, LogitRule], None]

_numbers = itertools.count()


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """Run SDPA, or plain softmax attention where SDPA cannot cap the logits or has no sinks.

    First call the layer's observer, if it has one, with query, rotated key, value and the rule of the logits.
    """
    observer: Observer | None = kwargs.pop(OBSERVER, None)
    refuse_unknown(kwargs)
    rule = LogitRule.of_call(query, kwargs)
    if observer is not None:
        observer(query, key, value, rule)
    if rule.plain:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    visible = explicit_mask(module, attention_mask, query, key, kwargs.get("is_causal"))
    weights = rule.weights(_products(query, key), visible).to(value.dtype)
    weights = nn.functional.dropout(weights, kwargs.get("dropout", 0.0), training=module.training)
    grouped = weights.reshape(*value.shape[:2], -1, weights.shape[-1]) @ value
    return grouped.reshape(*query.shape[:-1], value.shape[-1]).transpose(1, 2).contiguous(), None


def _products(query: Tensor, key: Tensor) -> Tensor:
    """Return the products `(batch, heads, rows, keys)` in float32; heads is a multiple of the key heads."""
    grouped = query.reshape(*key.shape[:2], -1, query.shape[-1]).float()
    return (grouped @ key.float().transpose(-1, -2)).view(*query.shape[:-1], key.shape[-2])


def attention_rows(
    query: Tensor, key: Tensor, rule: LogitRule, tokens: TokenSet, rows: QueryRows, mask: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the softmax attention of the query rows of one kind alone, over all keys, a block of rows at a time.

    Args:
        query: `(batch, heads, slots, d)`.
        key: `(batch, kv_heads, slots, d)`; heads is a multiple of kv_heads.
        rule: how the layer turns the products of query and key into attention.
        tokens: the tokens in the slots; attention to padding is zero.
        rows: the kind of query rows.
        mask: `(batch or 1, 1, slots, slots)` bool, true where the layer attends; None for plain causal attention.

    Yields:
        The attention `(batch, heads, rows, slots)` float32, zero in the padding rows of a row of the batch with fewer
        tokens; and what the layer lets these rows attend to, `(batch, rows, slots)` bool, false in padding rows.
    """
    batch, heads, slots, width = query.shape
    size = max(1, BLOCK // (batch * heads * slots))
    key = key.float()
    for index, present in zip(*(part.split(size, 1) for part in tokens.slots_of(rows)), strict=True):
        visible = _visible(tokens, index, mask)
        selected = query.gather(2, index[:, None, :, None].expand(-1, heads, -1, width))
        weights = rule.weights(_products(selected, key), visible[:, None])
        if batch > 1:
            weights.masked_fill_(~present[:, None, :, None], 0.0)
        yield weights, visible & present[:, :, None]


def _visible(tokens: TokenSet, index: Tensor, mask: Tensor | None) -> Tensor:
    """Return the slots that the rows at `index` attend to: `(batch, r, slots)` bool; `mask` as in `attention_rows`."""
    if mask is not None:
        return gather_slots(mask[:, 0], index)
    visible = torch.arange(tokens.slots, device=index.device) <= index[:, :, None]
    return visible & (tokens.role > PAD)[:, None, :] if tokens.padded else visible


def attention_inputs(
    criterion: Criterion,
    tokens: TokenSet,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    rule: LogitRule,
    mask: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the tensors of an attention layer that a criterion declares, by name; see `CriterionInputs`."""
    tensors: dict[str, Tensor] = {"keys": key, "values": value}
    tensors = {name: tensor for name, tensor in tensors.items() if name in criterion.needs}
    if criterion.rows != "none":
        tensors |= _attention_sums(criterion, tokens, attention_rows(query, key, rule, tokens, criterion.rows, mask))
    return tensors


def _attention_sums(
    criterion: Criterion, tokens: TokenSet, blocks: Iterable[tuple[Tensor, Tensor]]
) -> dict[str, Tensor]:
    """Return the sums over blocks of rows that a criterion declares, so that no tensor holds all rows."""
    image, given = (tokens.role == IMAGE)[:, None], []
    received: Any = 0
    attending: Any = 0
    for weights, visible in blocks:
        mean = weights.mean(1)
        received = received + (weights if criterion.per_head else mean).sum(-2)
        if "given" in criterion.needs:
            given.append(mean.masked_fill_(~image, 0.0).sum(2))
        if "attending" in criterion.needs:
            attending = attending + visible.sum(1)
    tensors = {"received": received, "attending": attending, "given": torch.cat(given, 1) if given else 0}
    return {name: tensors[name] for name in ("received", *criterion.needs & {"given", "attending"})}


@contextmanager
def replaced(family: Family, function: AttentionFunction) -> Iterator[None]:
    """Run a decoder's attention through a function, with SDPA masks, while the context lasts.

    Raises:
        HimapError: the decoder's attention is already replaced.
        UnsupportedModelError: SDPA cannot stand in for the attention implementation, or a part is compiled.
    """
    config = family.decoder.config  # the vision tower has a configuration of its own
    before = config._attn_implementation
    if before.startswith(PREFIX):
        raise HimapError("this model, or one that shares its configuration, is in a context of himap already")
    if before not in REPLACES:
        expected = ", ".join(REPLACES)
        raise UnsupportedModelError(f"got attention implementation {before!r}; expected one of {expected}")
    refuse_compiled(family)
    name = f"{PREFIX}{next(_numbers)}"  # one a context, so that contexts of several models are independent
    AttentionInterface.register(name, function)
    AttentionMaskInterface.register(name, sdpa_mask)
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before
        AttentionInterface._global_mapping.pop(name)
        AttentionMaskInterface._global_mapping.pop(name)
