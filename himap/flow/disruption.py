"""Blocks one kind of flow in chosen layers: the paper's disruption experiments."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from himap import families
from himap.criteria.base import Observed
from himap.criteria.random import Random
from himap.engine.passes import kv_cache
from himap.errors import ConfigError, InputError
from himap.families.base import Family
from himap.flow.attach import allowed, attending
from himap.flow.saliency import read_tokens
from himap.tokens import IMAGE, INSTRUCTION, TokenSet

Flow = Literal["visual_textual", "intra_visual", "random"]


@dataclass(frozen=True)
class Block:
    """A kind of flow and the layers (0-based) in which it is blocked.

    No image column is attended to by these rows of a blocked layer, and the softmax runs over what is left:
        visual_textual: every text row behind the last image token, those generated later counted.
        intra_visual: the image rows. One that has nothing left to attend to gets zeros.
        random: as many rows as the prompt has behind its last image token, drawn from those and the image
            rows; other ones in each layer, the same for a prompt alone and in any batch.

    Raises:
        ConfigError: no such flow, or a layer that is no whole number from 0 up.
    """

    flow: Flow
    layers: tuple[int, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if self.flow not in get_args(Flow):
            raise ConfigError(f"flow must be one of {', '.join(get_args(Flow))}; got {self.flow!r}")
        if any(isinstance(layer, bool) or not isinstance(layer, int) or layer < 0 for layer in self.layers):
            raise ConfigError(f"layers must be whole numbers from 0 up, got {self.layers!r}")


class _Call:
    """The forward call that is running."""

    def __init__(self, family: Family, block: Block) -> None:
        self._family, self._block = family, block
        self._parameters = list(inspect.signature(family.backbone.forward).parameters)
        self._prompt: TokenSet | None = None
        self._total = 0

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """In front of the backbone: a prompt is read, a continuation is measured."""
        inputs = dict(zip(self._parameters, args, strict=False)) | kwargs
        cache = kv_cache(inputs)
        if getattr(cache, "is_compileable", False):
            raise InputError("a static cache has slots that hold nothing; use the default dynamic cache")
        past = cache.get_seq_length() if cache is not None else 0
        if past == 0:
            self._family.check_prompt(inputs)
            self._prompt = read_tokens(self._family, inputs)
            self._total = self._prompt.slots
            return
        ids = inputs.get("input_ids")
        self._total = past + (inputs["inputs_embeds"] if ids is None else ids).shape[1]

    def blocked(self, layer: int, queries: int, keys: int, device: torch.device) -> Tensor:
        """(batch, 1, queries, keys) bool: what must not be attended to."""
        if self._prompt is None:
            raise InputError("a cache that was filled before the flow was blocked cannot be continued here")
        tokens = self._prompt.to(device)
        added = self._total - tokens.slots
        rows = nn.functional.pad(self._rows(tokens, layer), (0, added), value=self._block.flow == _TEXT)
        columns = nn.functional.pad(tokens.role == IMAGE, (0, added))
        return (rows[:, -queries:, None] & columns[:, None, -keys:])[:, None]

    def _rows(self, tokens: TokenSet, layer: int) -> Tensor:
        """(batch, slots) bool: the rows of the prompt that are blocked."""
        text, image = tokens.role == INSTRUCTION, tokens.role == IMAGE
        if self._block.flow == _TEXT:
            return text
        if self._block.flow == "intra_visual":
            return image
        draw = Random(self._block.seed + 1000 * layer).score(tokens, Observed((), {}))
        order = draw.masked_fill(~(text | image), -1).sort(dim=1, descending=True, stable=True).indices
        place = torch.empty_like(order).scatter_(
            1, order, torch.arange(tokens.slots, device=order.device).expand_as(order)
        )
        return place < text.sum(1, keepdim=True)


_TEXT: Flow = "visual_textual"


@contextmanager
def disrupt(model: nn.Module, block: Block) -> Iterator[None]:
    """Block a flow in the prompts, and in what is generated behind them, while the context lasts.

    Only the layers of the block are touched: every other layer computes what it always does, from what
    reaches it. A prompt without an image runs as ever.

    Raises:
        UnsupportedModelError: unknown family, or attention that SDPA does not stand for.
        ConfigError: a layer that the model does not have.
        InputError: from a call: a static cache, a cache from before, or image tokens that cannot be found.
        HimapError: the model is being pruned or watched already.
    """
    family = families.find(model)
    if beyond := [layer for layer in block.layers if layer >= len(family.layers)]:
        raise ConfigError(f"layer {beyond[0]} must be below the model's {len(family.layers)} layers")
    call, chosen = _Call(family, block), frozenset(block.layers)

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, None]:
        if module.layer_idx not in chosen:
            return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        see = allowed(module, attention_mask, query, key, kwargs.pop("is_causal", None))
        left = see & ~call.blocked(module.layer_idx, query.shape[2], key.shape[2], query.device)
        nothing = ~left.any(-1, keepdim=True)
        output, _ = sdpa_attention_forward(module, query, key, value, left | nothing, **kwargs)
        return output.masked_fill(nothing.transpose(1, 2), 0), None

    with ExitStack() as undo:
        undo.enter_context(attending(family, attend))
        undo.callback(family.backbone.register_forward_pre_hook(call.begin, with_kwargs=True).remove)
        yield
