"""The context manager that prunes a model in place and puts it back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from himap import attention, families
from himap.config import PruningConfig
from himap.errors import ConfigError, HimapError, UnsupportedModelError
from himap.families.base import Family
from himap.session import Pruning


@contextmanager
def _replaced(model: Any, name: str, wrap: Callable[[Callable[..., Any]], Any]) -> Iterator[None]:
    """A method of one object is wrapped inside; the object's own attribute, if it had one, comes back."""
    own = vars(model).get(name)
    setattr(model, name, wrap(getattr(model, name)))
    try:
        yield
    finally:
        delattr(model, name)
        if own is not None:
            setattr(model, name, own)


@contextmanager
def _attention_set(config: Any) -> Iterator[None]:
    """A decoder's attention goes through ours inside; the vision tower has another configuration."""
    before = config._attn_implementation
    config._attn_implementation = attention.NAME
    try:
        yield
    finally:
        config._attn_implementation = before


@contextmanager
def _attached(pruning: Pruning, family: Family, config: PruningConfig) -> Iterator[None]:
    """Hooks, attention function and wrapped method are in place inside, and gone afterwards."""
    backbone, layers = family.backbone, family.layers
    with ExitStack() as undo:
        undo.callback(backbone.register_forward_pre_hook(pruning.before_forward, with_kwargs=True).remove)
        undo.callback(backbone.register_forward_hook(pruning.after_forward, always_call=True).remove)
        undo.enter_context(_replaced(family.model, "prepare_inputs_for_generation", pruning.see_ids))
        if config.cuts:
            undo.enter_context(attention.registered())
            undo.enter_context(_attention_set(family.decoder.config))
            for index in range(config.cuts[0].layer - 1, len(layers)):
                hook = functools.partial(pruning.before_layer, index)
                undo.callback(layers[index].register_forward_pre_hook(hook, with_kwargs=True).remove)
        yield


def _check(family: Family, config: PruningConfig) -> None:
    layers, text = len(family.layers), family.decoder.config
    for cut in config.cuts:
        if cut.layer >= layers:
            which = "k1" if cut.layer == config.k1 else "k2"
            raise ConfigError(f"{which}={cut.layer} must be below the model's {layers} layers, or its r be 0")
    if text._attn_implementation == attention.NAME:
        raise HimapError("this model, or one that shares its configuration, is being pruned already")
    if config.cuts and text._attn_implementation not in attention.REPLACES:
        raise UnsupportedModelError(
            f"attention implementation {text._attn_implementation!r} cannot be pruned; "
            f"load the model with one of {', '.join(attention.REPLACES)}"
        )
    if config.cuts and "sliding_attention" in (getattr(text, "layer_types", None) or ()):
        raise UnsupportedModelError("decoder layers with sliding-window attention cannot be pruned")


@contextmanager
def prune(model: nn.Module, config: PruningConfig) -> Iterator[Pruning]:
    """Drop image tokens inside a vision-language model's decoder while the context lasts.

    Every prompt that runs through `model.generate` or `model(...)` inside is cut as `config` says: dropped
    tokens are gone from the hidden states and from the KV cache of all deeper layers, survivors keep their
    positions, text is never dropped. A prompt without an image runs as ever. Leaving restores the model, also
    after an exception.

    Batches may be padded and hold different numbers of image tokens; each row keeps what it would keep alone.
    A forward call without a cache is a prompt of its own. A prompt has as many logits as tokens reach the
    last layer (see `Pruning.positions`); in every row the last one is the last token's.

    Args:
        model: a supported transformers model itself (see `himap.supported_models`), with attention "sdpa" or
            "eager". Inside, the decoder's attention is SDPA.
        config: what to drop, and where.

    Yields:
        The record of the last prompt: token counts and kept positions.

    Raises:
        UnsupportedModelError: unknown family, other attention implementation, sliding-window layers.
        ConfigError: a cut at or beyond the model's last layer.
        InputError: from a forward call that could only be pruned wrongly: a static cache, a 4-d attention
            mask, an image in the middle of a cached prompt, embeddings without ids, a cache of another
            configuration.
        HimapError: the model is inside a pruning context already.
    """
    family = families.find(model)
    _check(family, config)
    pruning = Pruning(family, config)
    with _attached(pruning, family, config):
        yield pruning
