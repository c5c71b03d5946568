"""Attention masks of layers with fewer tokens than the prompt: what the model allows, at the slots left."""

from __future__ import annotations

import torch
from torch import Tensor

from himap.tokens import PAD, TokenSet, gather_slots


def causal_mask(tokens: TokenSet, queries: int, keys: int) -> Tensor | None:
    """The attention mask of a pruned layer, or None where none is needed.

    Args:
        tokens: what the layer's cache held after the prompt; the keys beyond it are tokens added since.
        queries, keys: lengths of this call; the queries are the last of the keys.

    Returns:
        (batch, 1, queries, keys) bool, true where attention is allowed, or None if plain causal (or, for one
        query, full) attention is right. Empty slots see themselves, so that no row of the softmax is empty.
    """
    if not tokens.padded and queries in (1, keys):
        return None
    device = tokens.role.device
    key = torch.arange(keys, device=device)
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    present = torch.nn.functional.pad(tokens.role > PAD, (0, keys - tokens.slots), value=True)
    allowed = (key <= query) & present[:, None, None, :]
    return allowed | (key == query)


def prompt_mask(full: Tensor | None, tokens: TokenSet) -> Tensor | None:
    """The mask of a pruned layer while the prompt is read.

    Args:
        full: (batch or 1, 1, slots0, slots0) bool, what the model hands a layer of this kind for the whole
            prompt (causal, with padding, windowed, looking ahead in an image, ...); None for plain causal.
        tokens: what is left.

    Returns:
        (batch, 1, m, m) bool, or None where plain causal attention is right. Empty slots see themselves, so
        that no row of the softmax is empty.
    """
    if full is None:
        return causal_mask(tokens, tokens.slots, tokens.slots)
    rows = gather_slots(full[:, 0], tokens.position)
    both = gather_slots(rows.transpose(1, 2), tokens.position).transpose(1, 2)
    present = (tokens.role > PAD).to(both.device)
    itself = torch.eye(tokens.slots, dtype=torch.bool, device=both.device)
    return ((both & present[:, None, :]) | itself)[:, None]


def continuation_mask(
    tokens: TokenSet, prompt_slots: int, queries: int, added: int, window: int | None, keys: int
) -> Tensor | None:
    """The mask of a pruned layer after the prompt.

    Args:
        tokens: what the layer's cache held after the prompt.
        prompt_slots: width of the whole prompt.
        queries: tokens of this call.
        added: tokens since the prompt, those of this call counted; the queries are the last of them.
        window: how many slots back a token sees, its own counted; None for all.
        keys: how many of the last tokens the layer's cache still returns, those of this call counted.

    Returns:
        (batch, 1, queries, keys) bool, or None where no mask is needed.
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
