"""Disruption: one kind of flow is blocked in some layers, as in the paper's experiments."""

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
from himap.criteria.base import CriterionInputs
from himap.criteria.random import Random
from himap.engine import attention
from himap.engine.logits import refuse_other_logits
from himap.engine.masks import explicit_mask
from himap.engine.passes import kv_cache
from himap.errors import ConfigError, InputError
from himap.families.family import Family
from himap.flow.saliency import read_tokens
from himap.tokens import IMAGE, INSTRUCTION, TokenSet, ranks

Flow = Literal["visual_textual", "intra_visual", "random"]


@dataclass(frozen=True)
class Block:
    """A kind of flow and the layers (0-based) in which it is blocked.

    In a blocked layer, some rows do not attend to the image columns; their softmax runs over the other columns.

    Attributes:
        flow: which rows. "visual_textual": every text row after the last image token, generated tokens counted.
            "intra_visual": the image rows; a row without any other column has the output zero. "random": as many
            rows as the prompt has after its last image token, drawn from those rows and the image rows; the draw
            differs by layer, and a prompt has the same draw alone and in any batch.
        layers: the blocked layers.
        seed: seed of the random draw.

    Raises:
        ConfigError: the flow is unknown, or a layer is not a whole number from 0 up.
    """

    flow: Flow
    layers: tuple[int, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if self.flow not in get_args(Flow):
            raise ConfigError(f"flow must be one of {', '.join(get_args(Flow))}; got {self.flow!r}")
        if any(isinstance(layer, bool) or not isinstance(layer, int) or layer < 0 for layer in self.layers):
            raise ConfigError(f"layers must be whole numbers from 0 up, got {self.layers!r}")


class _Blocking:
    """The prompt of the running call, and the attention that a block removes from it."""

    def __init__(self, family: Family, block: Block) -> None:
        self._family, self._block = family, block
        self._parameters = list(inspect.signature(family.backbone.forward).parameters)
        self._prompt: TokenSet | None = None
        self._total = 0

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Read a prompt, or the length of a continuation, in front of the backbone."""
        inputs = dict(zip(self._parameters, args, strict=False)) | kwargs
        cache = kv_cache(inputs)
        if getattr(cache, "is_compileable", False):
            raise InputError("a static cache has empty slots; use the default dynamic cache")
        past = cache.get_seq_length() if cache is not None else 0
        if past == 0:
            self._family.check_prompt(inputs)
            self._prompt = read_tokens(self._family, inputs)
            self._total = self._prompt.slots
            return
        ids = inputs.get("input_ids")
        self._total = past + (inputs["inputs_embeds"] if ids is None else ids).shape[1]

    def blocked(self, layer: int, queries: int, keys: int, device: torch.device) -> Tensor:
        """Return the blocked attention of a layer: `(batch, 1, queries, keys)` bool."""
        if self._prompt is None:
            raise InputError("a cache that was filled before the flow was blocked cannot be continued here")
        tokens = self._prompt.to(device)
        added = self._total - tokens.slots
        rows = nn.functional.pad(self._rows(tokens, layer), (0, added), value=self._block.flow == "visual_textual")
        columns = nn.functional.pad(tokens.role == IMAGE, (0, added))
        return (rows[:, -queries:, None] & columns[:, None, -keys:])[:, None]

    def _rows(self, tokens: TokenSet, layer: int) -> Tensor:
        """Return the blocked rows of the prompt: `(batch, slots)` bool."""
        text, image = tokens.role == INSTRUCTION, tokens.role == IMAGE
        if self._block.flow == "visual_textual":
            return text
        if self._block.flow == "intra_visual":
            return image
        scores = Random(self._block.seed + 1000 * layer).score(tokens, CriterionInputs((), {}))
        return ranks(scores.masked_fill(~(text | image), -1)) < text.sum(1, keepdim=True)


@contextmanager
def disrupt(model: nn.Module, block: Block) -> Iterator[None]:
    """Block a flow in prompts and in their generated tokens while the context lasts.

    Only the layers of the block compute something else. A prompt without an image is not changed.

    Args:
        model: a supported model (see `himap.supported_models`), not inside `himap.prune`.
        block: the flow and the layers.

    Raises:
        UnsupportedModelError: the family or the attention implementation is unknown, or the model is compiled.
        ConfigError: the model does not have one of the layers, or that layer computes no attention.
        InputError: raised by a call with a static cache, with a cache that was filled outside the context, or
            without a way to find the image tokens.
        HimapError: the model is already in a context of himap.
    """
    family = families.find(model)
    if beyond := [layer for layer in block.layers if layer >= len(family.layers)]:
        raise ConfigError(f"layer {beyond[0]} must be below the model's {len(family.layers)} layers")
    if recurrent := [layer for layer in block.layers if not family.attends(layer)]:
        raise ConfigError(f"layer {recurrent[0]} computes no attention, so nothing can be blocked; leave it out")
    blocking, layers = _Blocking(family, block), frozenset(block.layers)

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, None]:
        refuse_other_logits(kwargs)
        if module.layer_idx not in layers:
            return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        mask = explicit_mask(module, attention_mask, query, key, kwargs.pop("is_causal", None))
        mask = mask & ~blocking.blocked(module.layer_idx, query.shape[2], key.shape[2], query.device)
        empty = ~mask.any(-1, keepdim=True)
        output, _ = sdpa_attention_forward(module, query, key, value, mask | empty, **kwargs)
        return output.masked_fill(empty.transpose(1, 2), 0), None

    with ExitStack() as undo:
        undo.enter_context(attention.replaced(family, attend))
        undo.callback(family.backbone.register_forward_pre_hook(blocking.begin, with_kwargs=True).remove)
        yield
