"""The context manager that prunes a model in place and puts it back."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

from torch import nn

from himap import families
from himap.config import PruningConfig
from himap.engine import attention, refusals
from himap.engine.pruning import Pruning
from himap.errors import ConfigError, HimapError, UnsupportedModelError
from himap.families.base import Family
from himap.presets.preset import Preset, read_preset

_ALREADY = "this model, or one that shares its configuration, is being pruned already"

_lock = threading.Lock()
_inside: WeakSet[nn.Module] = WeakSet()


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


def _refuse_and_cut(pruning: Pruning, family: Family, config: PruningConfig, undo: ExitStack) -> None:
    """What only a configuration that drops something needs; `undo` takes it back."""
    model, decoder, layers = family.model, family.decoder, family.layers
    undo.callback(model.register_forward_pre_hook(pruning.before_call, with_kwargs=True).remove)
    undo.enter_context(_replaced(model, "generate", pruning.guard_generate))
    for name in filter(functools.partial(hasattr, model), refusals.NOT_PRUNED):
        undo.enter_context(_replaced(model, name, lambda _: refusals.refuse_batching))
    if family.adds_features is not None:
        undo.enter_context(_replaced(decoder, family.adds_features, pruning.add_features))
    undo.enter_context(attention.registered())
    undo.enter_context(_attention_set(decoder.config))
    for index in range(config.cuts[0].layer - 1, len(layers)):
        hook = functools.partial(pruning.before_layer, index)
        undo.callback(layers[index].register_forward_pre_hook(hook, with_kwargs=True).remove)


@contextmanager
def _attached(pruning: Pruning, family: Family, config: PruningConfig) -> Iterator[None]:
    """Hooks, attention function and wrapped methods are in place inside, and gone afterwards."""
    backbone = family.backbone
    with ExitStack() as undo:
        undo.enter_context(_claimed(backbone))
        undo.callback(backbone.register_forward_pre_hook(pruning.before_forward, with_kwargs=True).remove)
        undo.callback(backbone.register_forward_hook(pruning.after_forward, always_call=True).remove)
        undo.enter_context(_replaced(family.model, "prepare_inputs_for_generation", pruning.see_ids))
        if config.cuts:
            _refuse_and_cut(pruning, family, config, undo)
        yield


@contextmanager
def _claimed(backbone: nn.Module) -> Iterator[None]:
    """One context a model at a time: two could not both say what the prompt's tokens are."""
    with _lock:
        if backbone in _inside:
            raise HimapError(_ALREADY)
        _inside.add(backbone)
    try:
        yield
    finally:
        with _lock:
            _inside.discard(backbone)


def _check(family: Family, config: PruningConfig) -> None:
    layers, text = len(family.layers), family.decoder.config
    for cut in config.cuts:
        if cut.layer >= layers:
            which = "k1" if cut.layer == config.k1 else "k2"
            raise ConfigError(f"{which}={cut.layer} must be below the model's {layers} layers, or its r be 0")
    implementation = text._attn_implementation
    if implementation == attention.NAME:
        raise HimapError(_ALREADY)
    if not config.cuts:
        return
    if implementation not in attention.REPLACES:
        raise UnsupportedModelError(
            f"attention implementation {implementation!r} cannot be pruned; "
            f"load the model with one of {', '.join(attention.REPLACES)}"
        )
    if getattr(family.model, "_compiled_call_impl", None) is not None:
        raise UnsupportedModelError("a compiled model cannot be pruned; prune it before compile()")


@contextmanager
def prune(model: nn.Module, config: PruningConfig | Preset | str | Path) -> Iterator[Pruning]:
    """Drop image tokens inside a vision-language model's decoder while the context lasts.

    Every prompt that runs through `model.generate` or `model(...)` inside is cut as `config` says: dropped
    tokens are gone from the hidden states and from the KV cache of all deeper layers, survivors keep their
    positions, text is never dropped. A prompt without an image runs as ever. Leaving restores the model, also
    after an exception.

    Batches may be padded and hold different numbers of image tokens; each row keeps what it would keep alone.
    A forward call without a cache is a prompt of its own. A prompt has as many logits as tokens reach the
    last layer (see `Pruning.positions`); in every row the last one is the last token's. `docs/pruning.md`
    lists what is supported, what is refused and why.

    Args:
        model: a supported transformers model itself (see `himap.supported_models`). Inside, the decoder's
            attention is SDPA, whatever it was loaded with.
        config: what to drop, and where; or a preset, or the path of a preset file.

    Yields:
        The record of the last prompt: token counts and kept positions.

    Raises:
        UnsupportedModelError: unknown family or decoder, other attention implementation, a compiled model.
        ConfigError: a cut at or beyond the model's last layer.
        PresetError: a preset file that cannot be read, or that was made for another architecture.
        InputError: from a call that could only be pruned wrongly: a static cache, a 4-d attention mask, an
            image in the middle of a cached prompt, embeddings without ids, a cache of another configuration,
            assisted decoding, labels, ...
        HimapError: the model is inside a pruning context already.
    """
    family = families.find(model)
    if isinstance(config, str | Path):
        config = read_preset(config)
    if isinstance(config, Preset):
        config.check_model([cls.__name__ for cls in type(model).__mro__], len(family.layers))
        config = config.config
    _check(family, config)
    pruning = Pruning(family, config)
    with _attached(pruning, family, config):
        yield pruning
