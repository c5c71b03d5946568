"""Attention masks of layers that hold fewer tokens than the prompt."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from himap.tokens import PAD, TokenSet, gather_slots


def causal_mask(tokens: TokenSet, queries: int, keys: int) -> Tensor | None:
    """Return the mask of a pruned layer with plain causal attention.

    Args:
        tokens: the tokens in the layer's cache after the prompt; further keys are tokens added since.
        queries: number of tokens in this call; they are the last of the keys.
        keys: number of tokens in the cache, those of this call counted.

    Returns:
        `(batch, 1, queries, keys)` bool, true where attention is allowed, or None where no mask is needed.
        A padding slot attends to itself, so that no softmax row is empty.
    """
    if not tokens.padded and queries in (1, keys):
        return None
    device = tokens.role.device
    key = torch.arange(keys, device=device)
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    present = torch.nn.functional.pad(tokens.role > PAD, (0, keys - tokens.slots), value=True)
    allowed = (key <= query) & present[:, None, None, :]
    return allowed | (key == query)


def explicit_mask(module: Any, mask: Tensor | None, query: Tensor, key: Tensor, is_causal: bool | None) -> Tensor:
    """Return the mask that SDPA applies in a layer, written out.

    Args:
        module: the attention module, whose `is_causal` is the default.
        mask: the mask that the layer was called with, if any.
        query: `(batch, heads, queries, d)`; the queries are the last of the keys.
        key: `(batch, kv_heads, keys, d)`.
        is_causal: the argument of this name, if it was passed.

    Returns:
        `(batch or 1, 1, queries, keys)` bool.
    """
    queries, keys = query.shape[2], key.shape[2]
    if mask is not None:
        return mask[..., :keys]
    full = torch.ones(1, 1, queries, keys, dtype=torch.bool, device=query.device)
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    return full.tril(keys - queries) if causal else full


def prompt_mask(full: Tensor | None, tokens: TokenSet) -> Tensor | None:
    """Return the mask of a pruned layer in the prompt's forward pass.

    Args:
        full: `(batch or 1, 1, slots, slots)` bool, the model's own mask of a layer of this kind for the whole
            prompt (padded, sliding window, bidirectional, ...); None for plain causal attention.
        tokens: the remaining m tokens.

    Returns:
        `(batch, 1, m, m)` bool, or None where no mask is needed. A padding slot attends to itself, so that no
        softmax row is empty.
    """
    if full is None:
        return causal_mask(tokens, tokens.slots, tokens.slots)
    rows = gather_slots(full[:, 0], tokens.position)
    allowed = gather_slots(rows.transpose(1, 2), tokens.position).transpose(1, 2)
    present = (tokens.role > PAD).to(allowed.device)
    diagonal = torch.eye(tokens.slots, dtype=torch.bool, device=allowed.device)
    return ((allowed & present[:, None, :]) | diagonal)[:, None]


def padding_mask(full: Tensor | None, tokens: TokenSet) -> Tensor | None:
    """Return the mask of a pruned recurrent layer in the prompt's forward pass.

    Args:
        full: the model's own mask for the whole prompt, whose dtype is kept; None for a prompt without padding.
        tokens: the remaining m tokens.

    Returns:
        `(batch, m)`, zero at padding, or None where no mask is needed.
    """
    if not tokens.padded:
        return None
    present = tokens.role > PAD
    return present if full is None else present.to(full)


def continuation_mask(
    tokens: TokenSet, prompt_slots: int, queries: int, added: int, window: int | None, keys: int
) -> Tensor | None:
    """Return the mask of a pruned layer in a forward pass after the prompt.

    Args:
        tokens: the tokens in the layer's cache after the prompt.
        prompt_slots: width of the whole prompt.
        queries: number of tokens in this call.
        added: number of tokens since the prompt, those of this call counted; the queries are the last of them.
        window: size of the sliding window in slots, the token's own counted; None for full attention.
        keys: number of keys that the layer's cache still returns, those of this call counted.

    Returns:
        `(batch, 1, queries, keys)` bool, or None where no mask is needed.
    """
    total = tokens.slots + added
    if window is None or prompt_slots + added <= window:
        return causal_mask(tokens, queries, total)
    device = tokens.role.device
    after = torch.arange(prompt_slots, prompt_slots + added, device=device).expand(len(tokens.role), -1)
    position = torch.cat([tokens.position, after], 1)
    present = torch.nn.functional.pad(tokens.role > PAD, (0, added), value=True)
    distance = after[:, -queries:, None] - position[:, None, :]
    allowed = (distance >= 0) & (distance < window) & present[:, None, :]
    return allowed[:, None, :, total - keys :]
